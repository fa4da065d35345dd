"""Function calls that deviate from the notation of grammars."""

import pytest

from worker.parsing.whole_calls import parse_function_call

FUNCTIONS = {"add": None}


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ('{"arguments": {"a": 1}, "name": "add"}', '{"a":1}'),
        ('<tool_call>\n{"name": "add", "parameters": "{}"}\n</tool_call>', "{}"),
        ('{"name": "add"}', "{}"),
    ],
)
def test_a_call_may_be_written_otherwise(text: str, arguments: str) -> None:
    assert parse_function_call(text, FUNCTIONS) == ("add", arguments)


@pytest.mark.parametrize(
    "text",
    [
        "add",
        "[]",
        '{"name": "sub"}',
        '{"name": ["add"]}',
        '{"name": {"add": 1}}',
        '{"name": "add", "arguments": 1}',
    ],
)
def test_anything_else_is_no_call(text: str) -> None:
    assert parse_function_call(text, FUNCTIONS) is None
