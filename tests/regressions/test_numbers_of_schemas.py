"""Numbers in schemas are exact in what is generated, or refused by name (finding D1)."""

from decimal import Decimal
from typing import Any

import pytest

from models.errors import InvalidRequestError
from tests.acceptance.server import AntiphonServer
from tests.regressions.server_requests import case, completed, post, schema_format, text_of
from tests.unit.models.grammars.test_compile import accepts, grammar_from

LARGE = 2**53


def test_the_case_is_refused_by_name(server: AntiphonServer) -> None:
    code, answer = post(server, case("big_integers"))

    assert (code, answer["error"]["code"]) == (400, "invalid_json_schema")
    assert answer["error"]["param"] == "text.format.schema"
    assert "$.properties.id.const: 9007199254740995" in answer["error"]["message"]


@pytest.mark.parametrize("number", [2**53 - 1, -(2**53) + 1, 0.1, -2.5, 123456789012345, 1e15])
def test_a_constant_that_is_exact_is_written_exactly(
    server: AntiphonServer, number: int | float
) -> None:
    body = {"input": "x", "max_output_tokens": 60, **schema_format({"const": number})}

    text = text_of(completed(server, body))

    assert Decimal(text) == Decimal(str(number))


@pytest.mark.parametrize(
    "schema",
    [
        {"const": LARGE + 3},
        {"const": -LARGE},
        {"enum": [1, LARGE + 1]},
        {"const": [{"a": [LARGE * 4 + 1]}]},
        {"items": {"enum": ["a", 1e300]}},
        {"type": "number", "minimum": 1e20},
        {"type": "integer", "minimum": 2.0**64},
    ],
)
def test_a_number_that_cannot_be_exact_is_refused_with_its_place(schema: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match=r"\$.*(const|enum|minimum): ") as raised:
        grammar_from(schema)

    assert raised.value.code == "invalid_json_schema"


def test_an_integer_beyond_64_bits_is_refused_in_the_body_too(server: AntiphonServer) -> None:
    for number in (12345678901234567890123, 2**64, -(2**63) - 1):
        schema = {"const": number}

        code, answer = post(server, {"input": "x", **schema_format(schema)})

        assert code == 400
        assert "$.const: " in answer["error"]["message"]


@pytest.mark.parametrize(
    ("schema", "inside", "outside"),
    [
        ({"minimum": LARGE + 1, "maximum": LARGE + 3}, [LARGE + 2], [LARGE, LARGE + 4]),
        ({"maximum": 2**63 - 1}, [0, 2**62], [2**63]),
        ({"minimum": -(2**63), "maximum": 2**63 - 1}, [-(2**62)], [2**63, -(2**63) - 1]),
        ({"exclusiveMaximum": LARGE + 2}, [LARGE], [LARGE + 2, LARGE + 3]),
        ({"exclusiveMinimum": -LARGE - 4}, [-LARGE], [-LARGE - 4, -LARGE - 5]),
        ({"exclusiveMinimum": 1.5, "exclusiveMaximum": 3}, [2], [1, 3]),
        ({"minimum": 0, "maximum": 2**64 - 1}, [2**62], [-1, 2**64]),
    ],
)
def test_bounds_of_integers_hold_beyond_exact_floats(
    schema: dict[str, Any], inside: list[int], outside: list[int]
) -> None:
    grammar = grammar_from({"type": "integer", **schema})

    assert all(accepts(grammar, str(number)) for number in inside)
    assert not any(accepts(grammar, str(number)) for number in outside)


@pytest.mark.parametrize(
    ("schema", "inside", "outside"),
    [
        ({"exclusiveMinimum": 0, "maximum": 0.1}, ["0.05", "0.1"], ["0", "0.0", "-0", "0.11"]),
        ({"exclusiveMinimum": 1, "exclusiveMaximum": 1.25}, ["1.1"], ["1", "1.0", "1.25"]),
        ({"minimum": -0.5, "exclusiveMaximum": 0}, ["-0.5", "-0.1"], ["0", "-0", "-0.0"]),
        ({"exclusiveMinimum": 0, "maximum": 1e-9}, ["0.000000001"], ["0", "0.000000002"]),
        ({"exclusiveMinimum": 0, "exclusiveMaximum": 1}, ["0.5"], ["0", "1", "1.0"]),
    ],
)
def test_an_exclusive_bound_close_to_the_other_is_exclusive(
    schema: dict[str, Any], inside: list[str], outside: list[str]
) -> None:
    grammar = grammar_from({"type": "number", **schema})

    assert all(accepts(grammar, number) for number in inside)
    assert not any(accepts(grammar, number) for number in outside)
