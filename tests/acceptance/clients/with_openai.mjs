// The official Node client.
//
// Usage: node with_openai.mjs SERVER THINKING; the model of THINKING thinks, and calls a function.

import OpenAI from "openai";
import { ResponsesToolRunner, runnerFunction } from "openai/helpers/responses-tool-runner";
import { zodResponsesFunction, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const MODEL = "default";
const [client, thinking] = process.argv
  .slice(2)
  .map((baseURL) => new OpenAI({ baseURL, apiKey: "unused", maxRetries: 0 }));

const CITY = z.object({ name: z.string(), population: z.number().int() });
const TOOL = {
  type: "function",
  name: "get_weather",
  description: "The weather in a city.",
  strict: true,
  parameters: {
    type: "object",
    properties: { city: { type: "string" } },
    required: ["city"],
    additionalProperties: false,
  },
};

const scenarios = {
  async chat() {
    const response = await client.responses.create({
      model: MODEL, input: "Say hello.", temperature: 0,
    });
    return { id: response.id, text: response.output_text };
  },

  async stream() {
    const deltas = [];
    const stream = client.responses.stream({ model: MODEL, input: "Say hello.", temperature: 0 });
    for await (const event of stream) {
      if (event.type === "response.output_text.delta") deltas.push(event.delta);
    }
    const final = await stream.finalResponse();
    // This client adds output_text to what `create` returns alone.
    const text = final.output.flatMap((item) => item.content).map((part) => part.text).join("");
    return { id: final.id, deltas, text };
  },

  async structured() {
    const response = await client.responses.parse({
      model: MODEL,
      input: "Which city is the capital of France, and how many people live there?",
      text: { format: zodTextFormat(CITY, "city") },
      temperature: 0,
    });
    return { id: response.id, value: response.output_parsed };
  },

  async chain() {
    const first = await client.responses.create({
      model: MODEL, input: "My name is Ada.", temperature: 0,
    });
    const second = await client.responses.create({
      model: MODEL, input: "What is my name?", previous_response_id: first.id, temperature: 0,
    });
    return { ids: [first.id, second.id], text: second.output_text };
  },

  async tool() {
    const first = await client.responses.create({
      model: MODEL,
      input: "What is the weather in Paris?",
      tools: [TOOL],
      tool_choice: { type: "function", name: "get_weather" },
      temperature: 0,
    });
    const [call] = first.output.filter((item) => item.type === "function_call");
    const second = await client.responses.create({
      model: MODEL,
      input: [
        { type: "function_call_output", call_id: call.call_id, output: "Rain, 8 degrees." },
      ],
      previous_response_id: first.id,
      tools: [TOOL],
      tool_choice: "none",
      temperature: 0,
    });
    return { id: second.id, arguments: JSON.parse(call.arguments), text: second.output_text };
  },

  async thinking() {
    const deltas = [];
    const stream = thinking.responses.stream({ model: MODEL, input: "What is the weather in Paris?" });
    stream.on("response.reasoning_text.delta", (event) => deltas.push(event.delta));
    const { output } = await stream.finalResponse();
    return { deltas, thought: output[0].content[0].text };
  },

  async agent() {
    const called = {};
    const tool = zodResponsesFunction({
      name: "get_weather",
      parameters: z.object({ city: z.string() }),
      function: ({ city }) => {
        called.city = city;
        return "Rain, 8 degrees.";
      },
    });
    tool.strict = false; // what the scripted engine generates cannot be constrained
    const runner = new ResponsesToolRunner({ functions: [runnerFunction(tool)] });
    const input = [{ role: "user", content: "What is the weather in Paris?" }];
    const options = { stream: true };
    const { output_text: text } = await runner.run(thinking, { model: MODEL, input }, options);
    return { arguments: called, text };
  },
};

for (const [name, run] of Object.entries(scenarios)) {
  const result = await run().catch((error) => ({ error: error.stack }));
  console.log(JSON.stringify({ [name]: result }));
}
