// LangChain's chat model for JavaScript, on the Responses API.
//
// Usage: node with_langchain.mjs SERVER THINKING

import { HumanMessage, ToolMessage } from "@langchain/core/messages";
import { tool as makeTool } from "@langchain/core/tools";
import { ChatOpenAI } from "@langchain/openai";
import { z } from "zod";

const [model, thinking] = process.argv.slice(2).map(
  (baseURL) =>
    new ChatOpenAI({
      model: "default",
      apiKey: "unused",
      configuration: { baseURL },
      maxRetries: 0,
      temperature: 0,
      useResponsesApi: true,
      // It reads only summaries, and asks for them itself only where it knows the model's name.
      modelKwargs: { reasoning: { summary: "detailed" } },
    }),
);
const WEATHER = new HumanMessage("What is the weather in Paris?");
const getWeather = makeTool(async () => "Rain, 8 degrees.", {
  name: "get_weather",
  description: "The weather in a city.",
  schema: z.object({ city: z.string() }),
});

async function answerOf(call) {
  return new ToolMessage({ content: await getWeather.invoke(call.args), tool_call_id: call.id });
}

const scenarios = {
  async chat() {
    const message = await model.invoke("Say hello.");
    return { id: message.response_metadata.id, text: message.text };
  },

  async stream() {
    const chunks = [];
    for await (const chunk of await model.stream("Say hello.")) chunks.push(chunk);
    const whole = chunks.reduce((before, chunk) => before.concat(chunk));
    const deltas = chunks.map((chunk) => chunk.text).filter(Boolean);
    return { id: whole.response_metadata.id, deltas, text: whole.text };
  },

  async structured() {
    const city = z.object({ name: z.string(), population: z.number().int() });
    const value = await model
      .withStructuredOutput(city)
      .invoke("Which city is the capital of France, and how many people live there?");
    return { value };
  },

  async chain() {
    const first = await model.invoke("My name is Ada.");
    const { id } = first.response_metadata;
    const second = await model.invoke("What is my name?", { previous_response_id: id });
    return { ids: [id, second.response_metadata.id], text: second.text };
  },

  async turns() {
    const messages = [new HumanMessage("My name is Ada.")];
    messages.push(await thinking.invoke(messages), new HumanMessage("What is my name?"));
    const { text } = await thinking.invoke(messages);
    return { text };
  },

  async tool() {
    const options = { tool_choice: "any", strict: true };
    const asked = await model.bindTools([getWeather], options).invoke([WEATHER]);
    const [call] = asked.tool_calls;
    const messages = [WEATHER, asked, await answerOf(call)];
    const answer = await model.bindTools([getWeather], { tool_choice: "none" }).invoke(messages);
    return { id: answer.response_metadata.id, arguments: call.args, text: answer.text };
  },

  async thinking() {
    const deltas = [];
    for await (const chunk of await thinking.stream([WEATHER])) {
      const blocks = chunk.content.filter((block) => block.type === "reasoning");
      deltas.push(...blocks.map((block) => block.reasoning));
    }
    return { deltas, thought: deltas.join("") };
  },

  async agent() {
    const bound = thinking.bindTools([getWeather], { strict: false });
    const asked = await bound.invoke([WEATHER]);
    const [call] = asked.tool_calls;
    const answer = await bound.invoke([WEATHER, asked, await answerOf(call)]);
    return { arguments: call.args, text: answer.text };
  },
};

for (const [name, run] of Object.entries(scenarios)) {
  const result = await run().catch((error) => ({ error: error.stack }));
  console.log(JSON.stringify({ [name]: result }));
}
