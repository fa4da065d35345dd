"""Client program on the Responses API of litellm."""

import json
import os
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it fetches the prices of models otherwise

import litellm
from litellm.responses.utils import ResponsesAPIRequestUtils
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
from with_openai import TOOL

litellm.suppress_debug_info = True  # it prints links among the results otherwise


def respond(url: str, input: Any, **options: Any) -> Any:
    return litellm.responses(
        model=f"openai/{MODEL}",
        input=input,
        api_base=url,
        api_key=KEY,
        temperature=0,
        num_retries=0,
        **options,
    )


def id_on_the_server(response: Any) -> str:
    """Return the id that the server gave, which litellm wraps."""
    return ResponsesAPIRequestUtils.decode_previous_response_id_to_original_previous_response_id(
        response.id
    )


def chat(url: str) -> Any:
    response = respond(url, QUESTION)
    return {"id": id_on_the_server(response), "text": response.output_text}


def stream(url: str) -> Any:
    events = list(respond(url, QUESTION, stream=True))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    response = events[-1].response
    return {"id": id_on_the_server(response), "deltas": deltas, "text": response.output_text}


def structured(url: str) -> Any:
    response = respond(url, CITY_QUESTION, text_format=City)
    return {"value": City.model_validate_json(response.output_text).model_dump()}


def chain(url: str) -> Any:
    first = respond(url, "My name is Ada.")
    second = respond(url, "What is my name?", previous_response_id=first.id)
    ids = [id_on_the_server(response) for response in (first, second)]
    return {"ids": ids, "text": second.output_text}


def tool(url: str) -> Any:
    first = respond(url, TOOL_QUESTION, tools=[TOOL], tool_choice="required")
    [call] = [item for item in first.output if item.type == "function_call"]
    second = respond(
        url,
        [{"type": "function_call_output", "call_id": call.call_id, "output": TOOL_ANSWER}],
        previous_response_id=first.id,
        tools=[TOOL],
        tool_choice="none",
    )
    arguments = json.loads(call.arguments)
    text = second.output_text
    return {"id": id_on_the_server(second), "arguments": arguments, "text": text}


if __name__ == "__main__":
    main(chat, stream, structured, chain, tool)
