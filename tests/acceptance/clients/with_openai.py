"""Client program on the official Python client."""

import json
from typing import Any

from openai import OpenAI
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

TOOL: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city.",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


def connect(url: str) -> OpenAI:
    return OpenAI(base_url=url, api_key=KEY, max_retries=0)


def chat(url: str) -> Any:
    response = connect(url).responses.create(model=MODEL, input=QUESTION, temperature=0)
    return {"id": response.id, "text": response.output_text}


def stream(url: str) -> Any:
    deltas = []
    with connect(url).responses.stream(model=MODEL, input=QUESTION, temperature=0) as events:
        for event in events:
            if event.type == "response.output_text.delta":
                deltas.append(event.delta)
        final = events.get_final_response()
    return {"id": final.id, "deltas": deltas, "text": final.output_text}


def structured(url: str) -> Any:
    response = connect(url).responses.parse(
        model=MODEL, input=CITY_QUESTION, text_format=City, temperature=0
    )
    assert response.output_parsed is not None
    return {"id": response.id, "value": response.output_parsed.model_dump()}


def chain(url: str) -> Any:
    client = connect(url)
    first = client.responses.create(model=MODEL, input="My name is Ada.", temperature=0)
    second = client.responses.create(
        model=MODEL, input="What is my name?", previous_response_id=first.id, temperature=0
    )
    return {"ids": [first.id, second.id], "text": second.output_text}


def tool(url: str) -> Any:
    client = connect(url)
    first = client.responses.create(
        model=MODEL, input=TOOL_QUESTION, tools=[TOOL], tool_choice="required", temperature=0
    )
    [call] = [item for item in first.output if item.type == "function_call"]
    second = client.responses.create(
        model=MODEL,
        input=[{"type": "function_call_output", "call_id": call.call_id, "output": TOOL_ANSWER}],
        previous_response_id=first.id,
        tools=[TOOL],
        tool_choice="none",
        temperature=0,
    )
    arguments = json.loads(call.arguments)
    return {"id": second.id, "arguments": arguments, "text": second.output_text}


if __name__ == "__main__":
    main(chat, stream, structured, chain, tool)
