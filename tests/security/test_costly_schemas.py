"""Passes over schemas take bounded time, whatever their patterns and names are."""

import time
from typing import Any

import pytest

from models.errors import InvalidRequestError
from tests.unit.models.grammars.test_compile import grammar_from

MAX_CPU_S = 3.0
SLOW = "a" * 40 + "!"


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"properties": {SLOW: {}}, "patternProperties": {"^(a|aa)+$": {}}}, "takes too long"),
        ({"properties": {"a": {}}, "patternProperties": {"(": {}}}, "is not valid"),
        ({"required": [SLOW], "patternProperties": {"^(?:a|a)*$": {}}}, "takes too long"),
        (
            {
                "properties": {f"p{n}": {} for n in range(200)},
                "patternProperties": {f"^x{n}": {} for n in range(100)},
            },
            "more than 10000 pairs",
        ),
        ({"pattern": "".join(f"[\\x00{chr(n)}]" for n in range(0x100, 0x600))}, "more than 2000"),
    ],
    ids=["slow name", "invalid", "slow requirement", "pairs", "classes"],
)
def test_what_would_take_long_is_refused(schema: dict[str, Any], reason: str) -> None:
    began = time.thread_time()

    with pytest.raises(InvalidRequestError, match=reason):
        grammar_from(schema)

    assert time.thread_time() - began < MAX_CPU_S
