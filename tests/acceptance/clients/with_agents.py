"""Client program on openai-agents."""

from typing import Any

from agents import (
    Agent,
    ModelSettings,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI
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

set_tracing_disabled(True)


def make_agent(url: str, **options: Any) -> Agent:
    client = AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0)
    model = OpenAIResponsesModel(MODEL, openai_client=client)
    settings = options.pop("model_settings", ModelSettings(temperature=0))
    return Agent(name="agent", model=model, model_settings=settings, **options)


async def chat(url: str) -> Any:
    result = await Runner.run(make_agent(url, instructions="Be brief."), QUESTION)
    return {"id": result.last_response_id, "text": result.final_output}


async def stream(url: str) -> Any:
    result = Runner.run_streamed(make_agent(url), QUESTION)
    deltas = [
        event.data.delta
        async for event in result.stream_events()
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
    ]
    return {"id": result.last_response_id, "deltas": deltas, "text": result.final_output}


async def structured(url: str) -> Any:
    result = await Runner.run(make_agent(url, output_type=City), CITY_QUESTION)
    return {"id": result.last_response_id, "value": result.final_output.model_dump()}


async def chain(url: str) -> Any:
    agent = make_agent(url)
    first = await Runner.run(agent, "My name is Ada.")
    second = await Runner.run(
        agent, "What is my name?", previous_response_id=first.last_response_id
    )
    ids = [first.last_response_id, second.last_response_id]
    return {"ids": ids, "text": second.final_output}


async def tool(url: str) -> Any:
    called = {}

    @function_tool
    def get_weather(city: str) -> str:
        """The weather in a city."""
        called["city"] = city
        return TOOL_ANSWER

    # A call is required in the first turn only: the framework resets `tool_choice` after a call.
    settings = ModelSettings(temperature=0, tool_choice="required")
    agent = make_agent(url, tools=[get_weather], model_settings=settings)
    result = await Runner.run(agent, TOOL_QUESTION)
    return {"id": result.last_response_id, "arguments": called, "text": result.final_output}


if __name__ == "__main__":
    main(chat, stream, structured, chain, tool)
