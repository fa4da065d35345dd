// LangChain's chat model, with its defaults.

import { HumanMessage, ToolMessage } from "@langchain/core/messages";
import { tool as makeTool } from "@langchain/core/tools";
import { ChatOpenAI } from "@langchain/openai";
import { z } from "zod";

const model = new ChatOpenAI({
  model: "default", apiKey: "unused", configuration: { baseURL: process.argv[2] },
});

const scenarios = {
  async chat() {
    const message = await model.invoke("Say hello.");
    return { text: message.content };
  },

  async stream() {
    const deltas = [];
    for await (const chunk of await model.stream("Say hello.")) {
      if (chunk.content) deltas.push(chunk.content);
    }
    return { deltas, text: deltas.join("") };
  },

  async structured() {
    const city = z.object({ name: z.string(), population: z.number().int() });
    const value = await model
      .withStructuredOutput(city)
      .invoke("Which city is the capital of France, and how many people live there?");
    return { value };
  },

  async turns() {
    const messages = [new HumanMessage("My name is Ada.")];
    const first = await model.invoke(messages);
    const second = await model.invoke([...messages, first, new HumanMessage("What is my name?")]);
    return { texts: [first.content, second.content] };
  },

  async tool() {
    const getWeather = makeTool(async () => "Rain, 8 degrees.", {
      name: "get_weather",
      description: "The weather in a city.",
      schema: z.object({ city: z.string() }),
    });
    const messages = [new HumanMessage("What is the weather in Paris?")];
    const asked = await model.bindTools([getWeather], { tool_choice: "any" }).invoke(messages);
    const [call] = asked.tool_calls;
    const output = await getWeather.invoke(call.args);
    messages.push(asked, new ToolMessage({ content: output, tool_call_id: call.id }));
    const answer = await model.bindTools([getWeather], { tool_choice: "none" }).invoke(messages);
    return { arguments: call.args, text: answer.content };
  },
};

for (const [name, run] of Object.entries(scenarios)) {
  const result = await run().catch((error) => ({ error: error.stack }));
  console.log(JSON.stringify({ [name]: result }));
}
