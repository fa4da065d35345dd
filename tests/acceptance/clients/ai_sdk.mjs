// Scenarios of Vercel's AI SDK, for every provider that speaks the Responses API.

import { generateObject, generateText, isStepCount, Output, streamText, tool } from "ai";
import { z } from "zod";

const PROMPT = "Say hello.";
const CITY = z.object({ name: z.string(), population: z.number().int() });
const CITY_PROMPT = "Which city is the capital of France, and how many people live there?";
const WEATHER_PROMPT = "What is the weather in Paris?";

function weatherTool(called) {
  return tool({
    description: "The weather in a city.",
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => {
      called.city = city;
      return "Rain, 8 degrees.";
    },
  });
}

/** Scenarios with a `model`, and with a model of the same provider that thinks and calls a function. */
export function makeScenarios(model, thinking, thinkingOptions = {}) {
  return {
    async chat() {
      const { text, usage, response } = await generateText({ model, prompt: PROMPT });
      if (!(usage.inputTokens > 0 && usage.outputTokens > 0)) throw new Error("there is no usage");
      return { id: response.id, text };
    },

    async stream() {
      const deltas = [];
      const result = streamText({ model, prompt: PROMPT });
      for await (const delta of result.textStream) deltas.push(delta);
      return { id: (await result.response).id, deltas, text: await result.text };
    },

    async structured() {
      const { output } = await generateText({
        model, prompt: CITY_PROMPT, output: Output.object({ schema: CITY }),
      });
      return { value: output };
    },

    async object() {
      const { object } = await generateObject({ model, prompt: CITY_PROMPT, schema: CITY });
      return { value: object };
    },

    async turns() {
      const messages = [{ role: "user", content: "My name is Ada." }];
      const first = await generateText({ model: thinking, messages });
      messages.push(...first.response.messages, { role: "user", content: "What is my name?" });
      const second = await generateText({ model: thinking, messages });
      return { text: second.text };
    },

    async tool() {
      const called = {};
      const { text, response } = await generateText({
        model,
        prompt: WEATHER_PROMPT,
        tools: { get_weather: weatherTool(called) },
        stopWhen: isStepCount(2),
        prepareStep: ({ stepNumber }) => ({ toolChoice: stepNumber === 0 ? "required" : "none" }),
      });
      return { id: response.id, arguments: called, text };
    },

    async thinking() {
      const deltas = [];
      const result = streamText({
        model: thinking, prompt: WEATHER_PROMPT, providerOptions: thinkingOptions,
      });
      for await (const part of result.stream) {
        if (part.type === "reasoning-delta") deltas.push(part.text);
      }
      return { deltas, thought: await result.reasoningText };
    },

    async agent() {
      const called = {};
      const result = streamText({
        model: thinking,
        prompt: WEATHER_PROMPT,
        tools: { get_weather: weatherTool(called) },
        stopWhen: isStepCount(4),
        providerOptions: thinkingOptions,
      });
      return { arguments: called, text: await result.text };
    },
  };
}

export async function main(scenarios) {
  for (const [name, run] of Object.entries(scenarios)) {
    const result = await run().catch((error) => ({ error: error.stack }));
    console.log(JSON.stringify({ [name]: result }));
  }
}
