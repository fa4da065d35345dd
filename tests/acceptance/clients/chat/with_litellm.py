"""Client program on litellm."""

import json
import os
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it fetches the prices of models otherwise

import litellm
from litellm import completion, stream_chunk_builder
from scenarios import CITY_QUESTION, KEY, MODEL, QUESTION, TOOL_ANSWER, TOOL_QUESTION, City, main

litellm.suppress_debug_info = True  # it prints links among the results otherwise

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


def complete(url: str, messages: list[Any], **options: Any) -> Any:
    return completion(
        model=f"openai/{MODEL}", messages=messages, api_base=url, api_key=KEY, **options
    )


def ask(text: str) -> Any:
    return {"role": "user", "content": text}


def chat(url: str) -> Any:
    return {"text": complete(url, [ask(QUESTION)]).choices[0].message.content}


def stream(url: str) -> Any:
    chunks = list(complete(url, [ask(QUESTION)], stream=True))
    whole: Any = stream_chunk_builder(chunks)
    deltas = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    return {"deltas": list(filter(None, deltas)), "text": whole.choices[0].message.content}


def structured(url: str) -> Any:
    answer = complete(url, [ask(CITY_QUESTION)], response_format=City)
    return {"value": City.model_validate_json(answer.choices[0].message.content).model_dump()}


def turns(url: str) -> Any:
    messages = [ask("My name is Ada.")]
    first = complete(url, messages)
    second = complete(url, [*messages, first.choices[0].message, ask("What is my name?")])
    return {"texts": [answer.choices[0].message.content for answer in (first, second)]}


def tool(url: str) -> Any:
    messages = [ask(TOOL_QUESTION)]
    asked = complete(url, messages, tools=[TOOL], tool_choice="required").choices[0].message
    [call] = asked.tool_calls
    messages += [
        asked,
        {"role": "tool", "tool_call_id": call.id, "name": "get_weather", "content": TOOL_ANSWER},
    ]
    answer = complete(url, messages, tools=[TOOL], tool_choice="none")
    arguments = json.loads(call.function.arguments)
    return {"arguments": arguments, "text": answer.choices[0].message.content}


if __name__ == "__main__":
    main(chat, stream, structured, turns, tool)
