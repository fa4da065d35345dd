// The official Node client at a limit: its own retry succeeds.
//
// Usage: node with_retries.mjs SERVER

import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "unused", maxRetries: 2 });
const began = Date.now();
const response = await client.responses.create({
  model: "default", input: "Say hello.", background: true,
});
console.log(JSON.stringify({ retried: { id: response.id, seconds: (Date.now() - began) / 1000 } }));
