"""Requests to the running server: those of the cases in `cases/`, and siblings of them."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.acceptance.server import AntiphonServer

_CASES = Path(__file__).parent / "cases"


def case(name: str) -> dict[str, Any]:
    """Return the body of a case's request."""
    [request] = json.loads((_CASES / f"{name}.json").read_bytes())["requests"]
    body: dict[str, Any] = request["body"]
    return body


def post(server: AntiphonServer, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Create a response; return the status code and the object."""
    request = urllib.request.Request(
        f"{server.url}/v1/responses",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return 200, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def completed(server: AntiphonServer, body: dict[str, Any]) -> dict[str, Any]:
    """Create a response, assert that it is completed, and return it."""
    code, response = post(server, body)
    assert (code, response.get("status")) == (200, "completed"), response
    return response


def text_of(response: dict[str, Any]) -> str:
    """Return the text of the only message of a response."""
    [item] = response["output"]
    return str(item["content"][0]["text"])


def arguments_of(response: dict[str, Any]) -> list[Any]:
    """Return the arguments of all function calls of a response."""
    calls = [item for item in response["output"] if item["type"] == "function_call"]
    assert calls, response["output"]
    return [json.loads(call["arguments"]) for call in calls]


def schema_format(schema: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return the field `text` for an answer that is an instance of the schema."""
    return {"text": {"format": {"type": "json_schema", "name": "s", "schema": schema, **fields}}}


def function(parameters: dict[str, Any] | None, **fields: Any) -> dict[str, Any]:
    """Return the fields that force a call of one function."""
    tool = {"type": "function", "name": "f", **fields}
    if parameters is not None:
        tool["parameters"] = parameters
    return {"tools": [tool], "tool_choice": "required"}
