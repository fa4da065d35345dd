"""Generated JSON has one layout everywhere, and no white space without end (finding D3)."""

import json
from typing import Any

import pytest

from models.grammars.compile import grammar_of
from models.schemas.request.parameters import GenerationParameters
from tests.acceptance.server import AntiphonServer
from tests.regressions.server_requests import case, completed, text_of
from tests.unit.models.grammars.test_compile import accepts

SCHEMA = {"type": "object", "properties": {"a": {"enum": [1]}}, "required": ["a"]}
LISTED = {"grammars": [{"lark_grammar": "start: @b"}, {"name": "b", "json_schema": SCHEMA}]}
EMBEDDED = f"start: %json {json.dumps(SCHEMA)}"


def test_the_case_ends_by_itself(server: AntiphonServer) -> None:
    response = completed(server, case("endless_whitespace"))

    assert text_of(response) == json.dumps(json.loads(text_of(response)), ensure_ascii=False)
    assert response["usage"]["output_tokens"] < 30


@pytest.mark.parametrize(
    "fields",
    [
        {"text": {"format": {"type": "json_schema", "name": "s", "schema": SCHEMA}}},
        {"grammar": {"type": "json_schema", "value": SCHEMA}},
        {"grammar": {"type": "json_schema", "value": json.dumps(SCHEMA)}},
        {"grammar": {"type": "llguidance", "value": LISTED}},
        {"grammar": {"type": "lark", "value": EMBEDDED}},
        {"grammar": {"type": "llguidance", "value": {"grammars": [{"lark_grammar": EMBEDDED}]}}},
    ],
    ids=["format", "schema", "schema as text", "list", "in Lark", "in Lark in a list"],
)
def test_a_schema_has_one_layout_wherever_it_is_given(fields: dict[str, Any]) -> None:
    grammar = grammar_of(GenerationParameters.model_validate(fields)) or ""

    assert accepts(grammar, '{"a": 1}')
    for text in ('{"a":1}', '{"a":  1}', '{\n"a": 1}', ' {"a": 1}', '{"a": 1}\n', '{"a": 1 }'):
        assert not accepts(grammar, text), text


def test_any_json_object_has_it_too() -> None:
    fields = {"text": {"format": {"type": "json_object"}}}
    grammar = grammar_of(GenerationParameters.model_validate(fields)) or ""

    assert accepts(grammar, '{"a": [1, {"b": {}}], "c": []}')
    assert not accepts(grammar, '{"a":\n\n1}')
    assert not accepts(grammar, "{ }")
