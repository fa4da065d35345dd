"""Client program that sends what Open WebUI 0.12 sends, by its source."""

import json
import sys
from collections.abc import Iterator
from typing import Any

import httpx
from scenarios import CITY_QUESTION, KEY, QUESTION, TOOL_ANSWER, TOOL_QUESTION, City, main

HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
SCRIPTED = sys.argv[2]
"""Address of a server that calls the function, as Open WebUI requires no call."""
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "description": "The city."}},
            "required": ["city"],
        },
    },
}


def find_model(url: str) -> str:
    """Return the first model of the list, as the picker shows it."""
    models = httpx.get(f"{url}/models", headers=HEADERS).raise_for_status().json()
    model_id: str = models["data"][0]["id"]
    return model_id


def stream_chat(url: str, messages: list[Any], **options: Any) -> Iterator[Any]:
    """Yield the chunks of an answer, as they are shown while it is written."""
    body = {"stream": True, "model": find_model(url), "messages": messages}
    body |= {"stream_options": {"include_usage": True}, **options}
    with httpx.stream(
        "POST", f"{url}/chat/completions", json=body, headers=HEADERS, timeout=100
    ) as answer:
        answer.raise_for_status()
        assert "text/event-stream" in answer.headers["Content-Type"]
        for line in answer.iter_lines():
            if line.startswith("data: ") and line != "data: [DONE]":
                yield json.loads(line.removeprefix("data: "))


def run_task(url: str, text: str, **options: Any) -> str:
    """Run a task behind the scenes, such as the title of a chat."""
    messages = [{"role": "user", "content": text}]
    body = {"model": find_model(url), "messages": messages, "stream": False, **options}
    answer = httpx.post(f"{url}/chat/completions", json=body, headers=HEADERS, timeout=100)
    content: str = answer.raise_for_status().json()["choices"][0]["message"]["content"]
    return content


def ask(text: str) -> Any:
    return {"role": "user", "content": text}


def read_text(chunks: list[Any]) -> list[str]:
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    return [delta["content"] for delta in deltas if delta.get("content")]


def chat(url: str) -> Any:
    return {"text": run_task(url, QUESTION, max_tokens=100)}


def stream(url: str) -> Any:
    chunks = list(stream_chat(url, [ask(QUESTION)]))
    assert chunks[-1]["usage"]["total_tokens"] > 0
    deltas = read_text(chunks)
    return {"deltas": deltas, "text": "".join(deltas)}


def structured(url: str) -> Any:
    """Set the parameter `response_format` of a model, as its settings allow."""
    schema = City.model_json_schema()
    text_format = {"type": "json_schema", "json_schema": {"name": "city", "schema": schema}}
    text = run_task(url, CITY_QUESTION, response_format=text_format)
    return {"value": City.model_validate_json(text).model_dump()}


def turns(url: str) -> Any:
    """Answer two turns; the parameters are those of the sliders in a chat's settings."""
    sliders = {"temperature": 0.8, "top_p": 0.9, "top_k": 40, "seed": 7, "max_tokens": 60}
    messages = [{"role": "system", "content": "Be brief."}, ask("My name is Ada.")]
    first = "".join(read_text(list(stream_chat(url, messages, **sliders))))
    messages += [{"role": "assistant", "content": first}, ask("What is my name?")]
    return {"texts": [first, "".join(read_text(list(stream_chat(url, messages, **sliders))))]}


def tool(_: str) -> Any:
    """Call a function, in the native mode, and send its output back."""
    messages = [ask(TOOL_QUESTION)]
    calls: dict[int, Any] = {}
    for chunk in stream_chat(SCRIPTED, messages, tools=[TOOL]):
        for choice in chunk["choices"]:
            for piece in choice["delta"].get("tool_calls") or ():
                call = calls.setdefault(piece["index"], piece)
                if call is not piece:
                    call["function"]["arguments"] += piece["function"]["arguments"]
    [call] = calls.values()
    asked = {"id": call["id"], "type": "function", "function": call["function"]}
    messages += [
        {"role": "assistant", "content": "", "tool_calls": [asked]},
        {"role": "tool", "tool_call_id": call["id"], "content": TOOL_ANSWER},
    ]
    text = "".join(read_text(list(stream_chat(SCRIPTED, messages, tools=[TOOL]))))
    return {"arguments": json.loads(call["function"]["arguments"]), "text": text}


if __name__ == "__main__":
    main(chat, stream, structured, turns, tool)
