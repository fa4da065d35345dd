// openai-agents for JavaScript, over HTTP, or over WebSocket if the last argument is `websocket`.
//
// Usage: node with_agents.mjs SERVER THINKING [websocket]

import {
  Agent, OpenAIResponsesModel, OpenAIResponsesWSModel, run, setTracingDisabled, tool,
} from "@openai/agents";
import OpenAI from "openai";
import { z } from "zod";

setTracingDisabled(true);
const Model = process.argv[4] === "websocket" ? OpenAIResponsesWSModel : OpenAIResponsesModel;
const [model, thinkingModel] = process.argv
  .slice(2, 4)
  .map((baseURL) => new Model(new OpenAI({ baseURL, apiKey: "unused", maxRetries: 0 }), "default"));

function makeAgent(options = {}) {
  return new Agent({ name: "agent", model, modelSettings: { temperature: 0 }, ...options });
}

function weatherTool(called, strict) {
  const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
  return tool({
    name: "get_weather",
    description: "The weather in a city.",
    parameters: strict ? z.object({ city: z.string() }) : { ...schema, additionalProperties: true },
    strict,
    execute: async ({ city }) => {
      called.city = city;
      return "Rain, 8 degrees.";
    },
  });
}

async function rawEvents(agent, input) {
  const events = [];
  const result = await run(agent, input, { stream: true });
  for await (const event of result) {
    if (event.type === "raw_model_stream_event" && event.data.type === "model") {
      events.push(event.data.event);
    }
  }
  await result.completed;
  return { result, events };
}

const deltasOf = (events, type) =>
  events.filter((event) => event.type === type).map((event) => event.delta);

const scenarios = {
  async chat() {
    const result = await run(makeAgent({ instructions: "Be brief." }), "Say hello.");
    return { id: result.lastResponseId, text: result.finalOutput };
  },

  async stream() {
    const { result, events } = await rawEvents(makeAgent(), "Say hello.");
    const deltas = deltasOf(events, "response.output_text.delta");
    return { id: result.lastResponseId, deltas, text: result.finalOutput };
  },

  async structured() {
    const outputType = z.object({ name: z.string(), population: z.number().int() });
    const question = "Which city is the capital of France, and how many people live there?";
    const result = await run(makeAgent({ outputType }), question);
    return { value: result.finalOutput };
  },

  async chain() {
    const first = await run(makeAgent(), "My name is Ada.");
    const second = await run(makeAgent(), "What is my name?", {
      previousResponseId: first.lastResponseId,
    });
    return { ids: [first.lastResponseId, second.lastResponseId], text: second.finalOutput };
  },

  async turns() {
    const agent = makeAgent({ model: thinkingModel });
    const { history } = await run(agent, "My name is Ada.");
    const input = [...history, { role: "user", content: "What is my name?" }];
    const { finalOutput: text } = await run(agent, input);
    return { text };
  },

  async tool() {
    const called = {};
    // A call is required in the first turn only: the framework resets `toolChoice` after a call.
    const modelSettings = { temperature: 0, toolChoice: "required" };
    const agent = makeAgent({ tools: [weatherTool(called, true)], modelSettings });
    const result = await run(agent, "What is the weather in Paris?");
    return { id: result.lastResponseId, arguments: called, text: result.finalOutput };
  },

  async thinking() {
    const agent = makeAgent({ model: thinkingModel });
    const { result, events } = await rawEvents(agent, "What is the weather in Paris?");
    const deltas = deltasOf(events, "response.reasoning_text.delta");
    const [{ rawItem }] = result.newItems.filter((item) => item.type === "reasoning_item");
    return { deltas, thought: rawItem.providerData.content[0].text };
  },

  async agent() {
    const called = {};
    const agent = makeAgent({ model: thinkingModel, tools: [weatherTool(called, false)] });
    const { result } = await rawEvents(agent, "What is the weather in Paris?");
    return { arguments: called, text: result.finalOutput };
  },
};

for (const [name, runScenario] of Object.entries(scenarios)) {
  const result = await runScenario().catch((error) => ({ error: error.stack }));
  console.log(JSON.stringify({ [name]: result }));
}
await Promise.all([model, thinkingModel].map((each) => each.close?.()));
