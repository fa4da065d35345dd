"""Client program on the chat models of pydantic-ai."""

from typing import Any

from openai import AsyncOpenAI
from pydantic_ai import Agent, NativeOutput, RunContext
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings
from scenarios import CITY_QUESTION, KEY, MODEL, QUESTION, TOOL_ANSWER, TOOL_QUESTION, City, main


def make_agent(url: str, **options: Any) -> Agent:
    client = AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0)
    return Agent(OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=client)), **options)


class RequiredAtFirst(AbstractCapability[Any]):
    """Settings that require a tool call in the first step, and forbid one in the next."""

    def get_model_settings(self) -> Any:
        def of_step(context: RunContext[Any]) -> ModelSettings:
            return ModelSettings(tool_choice="required" if context.run_step == 1 else "none")

        return of_step


async def chat(url: str) -> Any:
    result = await make_agent(url).run(QUESTION)
    return {"text": result.output}


async def stream(url: str) -> Any:
    async with make_agent(url).run_stream(QUESTION) as result:
        deltas = [delta async for delta in result.stream_text(delta=True, debounce_by=None)]
        text = await result.get_output()
    return {"deltas": deltas, "text": text}


async def structured(url: str) -> Any:
    """Ask for the output by a function, which is the default."""
    result = await make_agent(url, output_type=City).run(CITY_QUESTION)
    return {"value": result.output.model_dump()}


async def native(url: str) -> Any:
    """Ask for the output by a schema."""
    result = await make_agent(url, output_type=NativeOutput(City)).run(CITY_QUESTION)
    return {"value": result.output.model_dump()}


async def turns(url: str) -> Any:
    agent = make_agent(url)
    first = await agent.run("My name is Ada.")
    second = await agent.run("What is my name?", message_history=first.all_messages())
    return {"texts": [first.output, second.output]}


async def tool(url: str) -> Any:
    called = {}

    async def get_weather(city: str) -> str:
        """The weather in a city."""
        called["city"] = city
        return TOOL_ANSWER

    agent = make_agent(url, tools=[get_weather], capabilities=[RequiredAtFirst()])
    result = await agent.run(TOOL_QUESTION)
    return {"arguments": called, "text": result.output}


if __name__ == "__main__":
    main(chat, stream, structured, native, turns, tool)
