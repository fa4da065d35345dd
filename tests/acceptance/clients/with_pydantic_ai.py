"""Client program on pydantic-ai."""

from typing import Any

from openai import AsyncOpenAI
from pydantic_ai import Agent, NativeOutput, RunContext
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.models.openai import OpenAIResponsesModel, OpenAIResponsesModelSettings
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings
from scenarios import (
    CITY_QUESTION,
    KEY,
    MODEL,
    QUESTION,
    TOOL_ANSWER,
    TOOL_QUESTION,
    City,
    main,
)


def make_agent(url: str, settings: dict[str, Any] | None = None, **options: Any) -> Agent:
    client = AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0)
    model = OpenAIResponsesModel(MODEL, provider=OpenAIProvider(openai_client=client))
    in_force = OpenAIResponsesModelSettings(temperature=0, **settings or {})
    return Agent(model, model_settings=in_force, **options)


def last_id(result: Any) -> str:
    return result.all_messages()[-1].provider_response_id


class RequiredAtFirst(AbstractCapability[Any]):
    """Settings that require a tool call in the first step, and forbid one in the next."""

    def get_model_settings(self) -> Any:
        def of_step(context: RunContext[Any]) -> ModelSettings:
            return ModelSettings(tool_choice="required" if context.run_step == 1 else "none")

        return of_step


async def chat(url: str) -> Any:
    result = await make_agent(url).run(QUESTION)
    return {"id": last_id(result), "text": result.output}


async def stream(url: str) -> Any:
    async with make_agent(url).run_stream(QUESTION) as result:
        deltas = [delta async for delta in result.stream_text(delta=True, debounce_by=None)]
        text = await result.get_output()
    return {"id": last_id(result), "deltas": deltas, "text": text}


async def structured(url: str) -> Any:
    result = await make_agent(url, output_type=NativeOutput(City, strict=True)).run(CITY_QUESTION)
    return {"id": last_id(result), "value": result.output.model_dump()}


async def chain(url: str) -> Any:
    agent = make_agent(url, {"openai_previous_response_id": "auto"})
    first = await agent.run("My name is Ada.")
    second = await agent.run("What is my name?", message_history=first.all_messages())
    return {"ids": [last_id(first), last_id(second)], "text": second.output}


async def tool(url: str) -> Any:
    called = {}

    async def get_weather(city: str) -> str:
        """The weather in a city."""
        called["city"] = city
        return TOOL_ANSWER

    agent = make_agent(url, tools=[get_weather], capabilities=[RequiredAtFirst()])
    result = await agent.run(TOOL_QUESTION)
    return {"id": last_id(result), "arguments": called, "text": result.output}


async def background(url: str) -> Any:
    result = await make_agent(url, {"openai_background": True}).run(QUESTION)
    return {"id": last_id(result), "text": result.output}


if __name__ == "__main__":
    main(chat, stream, structured, chain, tool, background)
