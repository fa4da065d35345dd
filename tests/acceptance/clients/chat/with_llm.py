"""Client program on the `llm` tool, whose models are configured in a file."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ["LLM_USER_PATH"] = tempfile.mkdtemp()

import llm
from scenarios import CITY_QUESTION, KEY, MODEL, QUESTION, TOOL_ANSWER, TOOL_QUESTION, City, main

CONFIGURATION = """
- model_id: antiphon
  model_name: {model}
  api_base: {url}
  supports_tools: true
  supports_schema: true
"""
SCRIPTED = sys.argv[2]
"""Address of a server that calls the function, as this tool cannot require a call."""


def connect(url: str) -> Any:
    folder = Path(os.environ["LLM_USER_PATH"])
    (folder / "extra-openai-models.yaml").write_text(CONFIGURATION.format(model=MODEL, url=url))
    model = llm.get_model("antiphon")
    model.key = KEY
    return model


def chat(url: str) -> Any:
    return {"text": connect(url).prompt(QUESTION, stream=False).text()}


def stream(url: str) -> Any:
    response = connect(url).prompt(QUESTION)
    return {"deltas": list(response), "text": response.text()}


def structured(url: str) -> Any:
    response = connect(url).prompt(CITY_QUESTION, schema=City, stream=False)
    return {"value": City.model_validate_json(response.text()).model_dump()}


def turns(url: str) -> Any:
    conversation = connect(url).conversation()
    texts = [conversation.prompt(text).text() for text in ("My name is Ada.", "What is my name?")]
    return {"texts": texts}


def tool(_: str) -> Any:
    called = {}

    def get_weather(city: str) -> str:
        """The weather in a city."""
        called["city"] = city
        return TOOL_ANSWER

    chain = connect(SCRIPTED).chain(TOOL_QUESTION, tools=[get_weather])
    return {"text": chain.text(), "arguments": called}


if __name__ == "__main__":
    main(chat, stream, structured, turns, tool)
