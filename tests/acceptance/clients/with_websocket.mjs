// The WebSocket of the official Node client.

import OpenAI from "openai";
import { ResponsesWS } from "openai/resources/responses/ws";

const MODEL = "default";
const TERMINAL = ["response.completed", "response.incomplete", "response.failed"];
const client = new OpenAI({ baseURL: process.argv[2], apiKey: "unused", maxRetries: 0 });

/** Send events once the connection is open; return what comes until as many turns have ended. */
function exchange(events, numEnds = events.length) {
  return new Promise((resolve, reject) => {
    const socket = new ResponsesWS(client);
    const received = [];
    socket.on("error", reject);
    socket.on("event", (event) => {
      received.push(event);
      numEnds -= TERMINAL.includes(event.type) ? 1 : 0;
      if (numEnds === 0) {
        socket.close();
        resolve(received);
      }
    });
    socket.socket.on("open", () => events.forEach((event) => socket.send(event)));
  });
}

function textOf(response) {
  return response.output.flatMap((item) => item.content).map((part) => part.text).join("");
}

function create(fields) {
  return { type: "response.create", model: MODEL, input: "Say hello.", temperature: 0, ...fields };
}

const scenarios = {
  async chat() {
    const { response } = (await exchange([create({})])).at(-1);
    return { id: response.id, text: textOf(response) };
  },

  async lanes() {
    const names = ["planner", "research", "critic"];
    const events = await exchange(names.map((name) => create({ stream_id: name, store: false })));
    const ends = events.filter((event) => TERMINAL.includes(event.type));
    return {
      statuses: ends.map((end) => end.response.status),
      texts: ends.map((end) => textOf(end.response)),
      streams: ends.map((end) => end.stream_id).sort(),
    };
  },

  async warm_up() {
    const { response } = (await exchange([create({ generate: false })])).at(-1);
    return { warm: { status: response.status, output: response.output, usage: response.usage } };
  },
};

for (const [name, run] of Object.entries(scenarios)) {
  const result = await run().catch((error) => ({ error: error.stack ?? String(error) }));
  console.log(JSON.stringify({ [name]: result }));
}
