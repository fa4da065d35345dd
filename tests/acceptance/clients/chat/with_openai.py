"""Client program on the chat completions of the official Python client."""

import json
from typing import Any

from openai import OpenAI, pydantic_function_tool
from pydantic import BaseModel
from scenarios import CITY_QUESTION, KEY, MODEL, QUESTION, TOOL_ANSWER, TOOL_QUESTION, City, main


class GetWeather(BaseModel):
    """The weather in a city."""

    city: str


TOOL: Any = pydantic_function_tool(GetWeather, name="get_weather")


def connect(url: str) -> Any:
    return OpenAI(base_url=url, api_key=KEY, max_retries=0).chat.completions


def ask(text: str) -> Any:
    return {"role": "user", "content": text}


def chat(url: str) -> Any:
    completion = connect(url).create(model=MODEL, messages=[ask(QUESTION)])
    assert completion.usage.total_tokens > completion.usage.prompt_tokens
    return {"text": completion.choices[0].message.content}


def stream(url: str) -> Any:
    deltas = []
    options = {"include_usage": True}
    with connect(url).stream(
        model=MODEL, messages=[ask(QUESTION)], stream_options=options
    ) as events:
        for event in events:
            if event.type == "content.delta":
                deltas.append(event.delta)
        final = events.get_final_completion()
    assert final.usage.completion_tokens > 0
    return {"deltas": deltas, "text": final.choices[0].message.content}


def structured(url: str) -> Any:
    completion = connect(url).parse(
        model=MODEL, messages=[ask(CITY_QUESTION)], response_format=City
    )
    return {"value": completion.choices[0].message.parsed.model_dump()}


def turns(url: str) -> Any:
    completions = connect(url)
    messages = [ask("My name is Ada.")]
    first = completions.create(model=MODEL, messages=messages)
    messages += [first.choices[0].message, ask("What is my name?")]
    second = completions.create(model=MODEL, messages=messages)
    assert second.usage.prompt_tokens > first.usage.total_tokens
    return {"texts": [answer.choices[0].message.content for answer in (first, second)]}


def tool(url: str) -> Any:
    completions = connect(url)
    messages = [ask(TOOL_QUESTION)]
    with completions.stream(
        model=MODEL, messages=messages, tools=[TOOL], tool_choice="required"
    ) as events:
        for _ in events:
            pass
        first = events.get_final_completion()
    asked = first.choices[0].message
    [call] = asked.tool_calls
    messages += [asked, {"role": "tool", "tool_call_id": call.id, "content": TOOL_ANSWER}]
    second = completions.create(model=MODEL, messages=messages, tools=[TOOL], tool_choice="none")
    arguments = json.loads(call.function.arguments)
    assert call.function.parsed_arguments == GetWeather(**arguments)
    return {"arguments": arguments, "text": second.choices[0].message.content}


if __name__ == "__main__":
    main(chat, stream, structured, turns, tool)
