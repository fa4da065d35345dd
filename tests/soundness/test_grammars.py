"""Random walks over masks end in what the validator accepts, and meet no dead ends.

Each schema is walked a few times; `GRAMMAR_SEEDS=100` walks more, from `GRAMMAR_FIRST_SEED` on.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from models.errors import InvalidRequestError
from models.grammars.validators import UnknownValidityError, find_fault
from tests.soundness.samples import formats, numbers, objects, patterns
from tests.soundness.walks import make_matcher, walk
from tests.unit.models.grammars.test_compile import grammar_from

NUM_SEEDS = int(os.environ.get("GRAMMAR_SEEDS", "6"))
FIRST_SEED = int(os.environ.get("GRAMMAR_FIRST_SEED", "0"))
_SUITE = Path(__file__).parent / "suite" / "schemas.json"


def suite_schemas() -> list[dict[str, Any]]:
    return [entry["schema"] for entry in json.loads(_SUITE.read_bytes())]


def walked(schemas: Iterable[dict[str, Any]]) -> int:
    """Walk all schemas that are accepted; return how many have been validated."""
    return sum(_walk(schema) for schema in schemas)


def _walk(schema: dict[str, Any]) -> bool:
    try:
        start = make_matcher(grammar_from(schema))
    except InvalidRequestError:
        return False
    if start is None:
        return False
    texts = [walk(start, seed) for seed in range(FIRST_SEED, FIRST_SEED + NUM_SEEDS)]
    ended = [text for text in texts if text is not None]
    for text in ended:
        assert _fault(schema, text) == "", f"{schema}: {text}"
    return bool(ended)


def _fault(schema: dict[str, Any], text: str) -> str:
    try:
        return find_fault("json_schema", json.dumps(schema), text)
    except UnknownValidityError:
        return ""


def test_schemas_of_the_test_suite() -> None:
    assert walked(suite_schemas()) >= 200


@pytest.mark.parametrize(
    ("schemas", "least"),
    [(numbers(), 120), (formats(), 20), (objects(), 120)],
    ids=["numbers", "formats", "objects"],
)
def test_schemas_of_our_own(schemas: list[dict[str, Any]], least: int) -> None:
    assert walked(schemas) >= least


def test_patterns() -> None:
    assert walked({"type": "string", "pattern": pattern} for pattern in patterns()) >= 100


def test_names_that_match_patterns() -> None:
    schemas = (
        {
            "type": "object",
            "properties": {"a": {"const": 1}},
            "required": ["a"],
            "patternProperties": {pattern: {"type": "integer", "minimum": 0, "maximum": 1}},
        }
        for pattern in patterns()
    )

    assert walked(schemas) >= 100
