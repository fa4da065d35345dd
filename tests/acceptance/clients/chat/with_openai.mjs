// The chat completions of the official Node client.

import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const MODEL = "default";
const client = new OpenAI({ baseURL: process.argv[2], apiKey: "unused", maxRetries: 0 });
const completions = client.chat.completions;
const ask = (content) => ({ role: "user", content });

const TOOL = {
  type: "function",
  function: {
    name: "get_weather",
    description: "The weather in a city.",
    parameters: {
      type: "object",
      properties: { city: { type: "string" } },
      required: ["city"],
    },
  },
};

const scenarios = {
  async chat() {
    const completion = await completions.create({ model: MODEL, messages: [ask("Say hello.")] });
    return { text: completion.choices[0].message.content };
  },

  async stream() {
    const deltas = [];
    const stream = completions.stream({ model: MODEL, messages: [ask("Say hello.")] });
    stream.on("content", (delta) => deltas.push(delta));
    const text = await stream.finalContent();
    return { deltas, text };
  },

  async structured() {
    const city = z.object({ name: z.string(), population: z.number().int() });
    const completion = await completions.parse({
      model: MODEL,
      messages: [ask("Which city is the capital of France, and how many people live there?")],
      response_format: zodResponseFormat(city, "city"),
    });
    return { value: completion.choices[0].message.parsed };
  },

  async turns() {
    const messages = [ask("My name is Ada.")];
    const first = await completions.create({ model: MODEL, messages });
    messages.push(first.choices[0].message, ask("What is my name?"));
    const second = await completions.create({ model: MODEL, messages });
    return { texts: [first, second].map((answer) => answer.choices[0].message.content) };
  },

  async tool() {
    const messages = [ask("What is the weather in Paris?")];
    const stream = completions.stream({
      model: MODEL,
      messages,
      tools: [TOOL],
      tool_choice: { type: "function", function: { name: "get_weather" } },
    });
    const asked = await stream.finalMessage();
    const [call] = asked.tool_calls;
    messages.push(asked, { role: "tool", tool_call_id: call.id, content: "Rain, 8 degrees." });
    const second = await completions.create({
      model: MODEL, messages, tools: [TOOL], tool_choice: "none",
    });
    return {
      arguments: JSON.parse(call.function.arguments),
      text: second.choices[0].message.content,
    };
  },
};

for (const [name, run] of Object.entries(scenarios)) {
  const result = await run().catch((error) => ({ error: error.stack }));
  console.log(JSON.stringify({ [name]: result }));
}
