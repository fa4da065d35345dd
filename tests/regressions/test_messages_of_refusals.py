"""Refusals name advice that can be followed (finding D10)."""

from typing import Any

import pytest

from models.errors import InvalidRequestError
from models.grammars.validate import GrammarChecker
from tests.unit.models.grammars.test_compile import grammar_from
from tests.unit.models.tiny_tokenizer import tiny_tokenizer

DATES = [{"type": "string"}, {"type": "string", "format": "date"}]


@pytest.fixture(scope="module")
def checker() -> GrammarChecker:
    return GrammarChecker(tiny_tokenizer())


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "oneOf: its branches may overlap"),
        ({"items": {"oneOf": DATES}}, "oneOf: its branches may overlap"),
        ({"type": "string", "pattern": "x^a"}, "at the beginning of a pattern only"),
        ({"type": "string", "pattern": r"a\b"}, r"\\b and \\B are not supported"),
        ({"patternProperties": {"a*": {}, "b*": {"const": 1}}}, "two patterns may match one name"),
        ({"const": 2**63}, "9223372036854775808 is beyond"),
    ],
)
def test_a_refusal_names_what_is_possible(
    checker: GrammarChecker, schema: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InvalidRequestError, match=reason) as raised:
        checker.check(grammar_from(schema), param="text.format.schema")

    assert "coerce_one_of" not in raised.value.message
    assert "nested too deeply" not in raised.value.message


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": [{"type": "integer"}, {"type": "number"}]},
        {"oneOf": [{"type": "integer"}, {"type": "string"}]},
        {"oneOf": [{"const": "a"}, {"enum": ["b", "c"]}]},
        {"items": {"anyOf": DATES}},
    ],
)
def test_the_advice_can_be_followed(checker: GrammarChecker, schema: dict[str, Any]) -> None:
    checker.check(grammar_from(schema), param="text.format.schema")
