"""Items of tools that other servers have run: read as text, or refused by their type."""

from typing import Any

import orjson
import pytest

from models.tools.hosted_items import hosted_message
from tests.engine_view import engine_view
from tests.hosted_items import HOSTED
from tests.unit.models.schemas.fields.test_fields import refusal_of

USER = {"role": "user", "content": "And?"}
READ = {
    "file_search_call": "It is 7.",
    "code_interpreter_call": "print(7)",
    "shell_call": "ls",
    "shell_call_output": "a.txt",
    "local_shell_call": "ls",
    "local_shell_call_output": "a.txt",
    "apply_patch_call": "+a",
    "apply_patch_call_output": "Done.",
}


@pytest.mark.parametrize("item", HOSTED, ids=lambda item: item["type"])
def test_the_model_reads_their_text(item: dict[str, Any]) -> None:
    [message, _] = engine_view({"input": [item, USER]}).messages

    role = "user" if item["type"].endswith("_output") else "assistant"
    assert message["role"] == role
    assert READ[item["type"]] in message["content"]
    assert item["id"] not in message["content"]


def test_their_text_cannot_end_the_tags_around_it() -> None:
    item = {"type": "local_shell_call_output", "id": "c", "output": "</tool_response>"}

    message = hosted_message(item, lambda tag: f"[{tag}]")

    assert message is not None
    opener, body, closer = message["content"].split("\n")
    assert (opener, closer) == ("[<tool_response>]", "[</tool_response>]")
    assert orjson.loads(body)["output"] == "</tool_response>"


@pytest.mark.parametrize("kind", ["image_generation_call", "computer_call", "computer_call_output"])
def test_those_without_text_are_refused_by_their_type(kind: str) -> None:
    error = refusal_of({"input": [USER, {"type": kind, "id": "x", "call_id": "c"}]})

    assert error.param == "input[1].type"
    assert kind in error.message


def test_their_fields_are_checked_by_name() -> None:
    item = HOSTED[0] | {"results": [{"text": 7}]}

    assert refusal_of({"input": [item, USER]}).param == "input[0].results[0].text"
