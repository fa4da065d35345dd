"""Client program on openai-agents, over WebSocket."""

from typing import Any

import with_agents
from agents import Agent, ModelSettings
from agents.models.openai_responses import OpenAIResponsesWSModel
from openai import AsyncOpenAI
from scenarios import KEY, MODEL, main


def make_agent(url: str, **options: Any) -> Agent:
    client = AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0)
    model = OpenAIResponsesWSModel(MODEL, openai_client=client)
    settings = options.pop("model_settings", ModelSettings(temperature=0))
    return Agent(name="agent", model=model, model_settings=settings, **options)


if __name__ == "__main__":
    with_agents.make_agent = make_agent
    main(
        with_agents.chat,
        with_agents.stream,
        with_agents.structured,
        with_agents.chain,
        with_agents.tool,
    )
