// The chat models of Vercel's AI SDK.

import { createOpenAI } from "@ai-sdk/openai";
import { generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const model = createOpenAI({ baseURL: process.argv[2], apiKey: "unused" }).chat("default");

const scenarios = {
  async chat() {
    const { text, usage } = await generateText({ model, prompt: "Say hello." });
    if (!(usage.inputTokens > 0 && usage.outputTokens > 0)) throw new Error("there is no usage");
    return { text };
  },

  async stream() {
    const deltas = [];
    const result = streamText({ model, prompt: "Say hello." });
    for await (const delta of result.textStream) deltas.push(delta);
    return { deltas, text: await result.text };
  },

  async structured() {
    const { object } = await generateObject({
      model,
      schema: z.object({ name: z.string(), population: z.number().int() }),
      prompt: "Which city is the capital of France, and how many people live there?",
    });
    return { value: object };
  },

  async turns() {
    const messages = [{ role: "user", content: "My name is Ada." }];
    const first = await generateText({ model, messages });
    messages.push(...first.response.messages, { role: "user", content: "What is my name?" });
    const second = await generateText({ model, messages });
    return { texts: [first.text, second.text] };
  },

  async tool() {
    const called = {};
    const getWeather = tool({
      description: "The weather in a city.",
      inputSchema: z.object({ city: z.string() }),
      execute: async ({ city }) => {
        called.city = city;
        return "Rain, 8 degrees.";
      },
    });
    const { text } = await generateText({
      model,
      prompt: "What is the weather in Paris?",
      tools: { get_weather: getWeather },
      stopWhen: stepCountIs(2),
      prepareStep: ({ stepNumber }) => ({ toolChoice: stepNumber === 0 ? "required" : "none" }),
    });
    return { arguments: called, text };
  },
};

for (const [name, run] of Object.entries(scenarios)) {
  const result = await run().catch((error) => ({ error: error.stack }));
  console.log(JSON.stringify({ [name]: result }));
}
