// The Responses provider of Vercel's AI SDK, which `openai()` is by default.
//
// Usage: node with_ai_sdk.mjs SERVER THINKING

import { createOpenAI } from "@ai-sdk/openai";
import { generateText } from "ai";

import { main, makeScenarios } from "./ai_sdk.mjs";

const [model, thinking] = process.argv
  .slice(2)
  .map((baseURL) => createOpenAI({ baseURL, apiKey: "unused" })("default"));

// The provider knows the models that reason by their names, and shows summaries alone.
const options = { openai: { forceReasoning: true, reasoningSummary: "detailed" } };

async function chain() {
  const first = await generateText({ model, prompt: "My name is Ada." });
  const second = await generateText({
    model,
    prompt: "What is my name?",
    providerOptions: { openai: { previousResponseId: first.response.id } },
  });
  return { ids: [first.response.id, second.response.id], text: second.text };
}

await main({ ...makeScenarios(model, thinking, options), chain });
