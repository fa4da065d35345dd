// The Open Responses provider of Vercel's AI SDK.
//
// Usage: node with_open_responses.mjs SERVER THINKING

import { createOpenResponses } from "@ai-sdk/open-responses";

import { main, makeScenarios } from "./ai_sdk.mjs";

const models = process.argv
  .slice(2)
  .map((url) => createOpenResponses({ name: "antiphon", url: `${url}/responses` })("default"));

const scenarios = makeScenarios(...models);

async function stream() {
  const { deltas, text } = await scenarios.stream(); // this provider tells no id of a stream
  return { deltas, text };
}

await main({ ...scenarios, stream });
