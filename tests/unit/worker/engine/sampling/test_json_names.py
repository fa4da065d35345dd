"""No object of a JSON output has a name twice: the tokens that would repeat one are masked."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from llguidance import LLMatcher

from tests.unit.worker.engine.harness import Harness
from tests.unit.worker.engine.sampling.test_grammar import text_of
from worker.engine.interface import GenerationRequest, JsonOutput
from worker.engine.params import SamplingParams
from worker.engine.sampling.json_names import JsonNames, TokenQuotes

_BYTES = [bytes([byte]) for byte in range(256)]
_SEVERAL = b'", "a"'
_LONG = [b'":', b'b"', b'ab":', b'"a"', _SEVERAL, b'\\"', b'u0061"', b"ab", b"<call>"]
_TEXTS = [*_BYTES, *_LONG]
_CALL = _TEXTS.index(b"<call>")


def masked_after(text: str, opener: str = "", closer: str = "", **fields: bool) -> set[bytes]:
    """Return the tokens that are cleared from a full mask after a text."""
    names = JsonNames(TokenQuotes(_TEXTS), opener, closer, **fields)
    names.advance(text.encode())
    bits = np.full(-(-len(_TEXTS) // 8), 255, dtype=np.uint8)
    names.clear_repetitions(bits)
    is_allowed = np.unpackbits(bits, bitorder="little")
    return {text for number, text in enumerate(_TEXTS) if not is_allowed[number]}


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ('{"', set()),
        ('{"a": 1, "', set()),
        ('{"a": 1, "a', {b'"', b'":', b'"a"'}),
        ('{"ab": 1, "a', {b'b"'}),
        ('{"ab": 1, "', {b'ab":'}),
        ('{"ab": 1, "abc', set()),
        ('{"a": 1, ', {b'"a"'}),
        ('{"a": {"', set()),
        ('{"a": {"b": 1}, "a', {b'"', b'":', b'"a"'}),
        ('[{"a": 1}, {"a', set()),
        ('{"a": ["a', set()),
        (r'{"a": 1, "\u0061', {b'"', b'":', b'"a"'}),
        (r'{"a": 1, "\u', set()),
        ('{"a": 1, "\\', {b'u0061"'}),
        (r'{"\u0061": 1, "a', {b'"', b'":', b'"a"'}),
        (r'{"a\"": 1, "a', set()),
        (r'{"\ud800": 1, "', set()),
        ('{"é": 1, "é', {b'"', b'":', b'"a"'}),
        ('{"": 1, "', {b'"', b'":', b'"a"'}),
        ('{"a": 1} {"a', set()),
        ('"{\\"a\\": 1, \\"a', set()),
        ('{"name": "patch"}\n{"a": 1, "a', set()),
        ('[{"name": "x"}, {"a": 1, "a', {b'"', b'":', b'"a"'}),
    ],
)
def test_tokens_that_would_repeat_a_name_are_masked(text: str, masked: set[bytes]) -> None:
    assert masked_after(text) - {_SEVERAL} == masked


@pytest.mark.parametrize(("text", "is_masked"), [('{"a": "x', True), ('{"b": "x', False)])
def test_a_token_that_contains_a_whole_name_is_masked(text: str, is_masked: bool) -> None:
    assert (_SEVERAL in masked_after(text)) == is_masked


@pytest.mark.parametrize(
    ("free", "text", "is_masked"),
    [
        ({"begins_free": True, "closer": "</t>"}, '{"a": 1, "a', False),
        ({"begins_free": True, "closer": "</t>"}, '{"</t>{"a": 1, "a', True),
        ({"opener": "<t>", "closer": "</t>"}, '<t>{"a": 1, "a', False),
        ({"opener": "<t>", "closer": "</t>"}, '\n<t>{"a"</t>{"a": 1, "a', True),
        ({"opener": "[T]", "closer": "[/T]"}, '[T]{"a": 1, "a', False),
        ({"opener": "[T]", "closer": "[/T]"}, '[T]{"a"[/T] {"a": 1, "a', True),
        ({"opener": "[T]", "closer": "[/T]"}, '{"a": 1, "a', True),
        ({"opener": "<t>", "closer": "</t>"}, '{"a": "<t>", "a', True),
    ],
)
def test_free_text_is_left_as_it_is(free: dict[str, Any], text: str, is_masked: bool) -> None:
    assert (b'"' in masked_after(text, **free)) == is_masked


def test_a_token_can_end_free_text() -> None:
    names = JsonNames(TokenQuotes(_TEXTS), closer=_CALL, begins_free=True)
    names.advance([*b'{"a": "', _CALL, *b'{"a": 1, "a'])
    bits = np.full(-(-len(_TEXTS) // 8), 255, dtype=np.uint8)

    names.clear_repetitions(bits)

    assert not bits[ord('"') >> 3] >> (ord('"') & 7) & 1


def test_the_only_token_that_is_allowed_stays() -> None:
    names = JsonNames(TokenQuotes(_TEXTS))
    names.advance(b'{"a": 1, "a')
    bits = np.zeros(-(-len(_TEXTS) // 8), dtype=np.uint8)
    bits[ord('"') >> 3] = 1 << (ord('"') & 7)

    names.clear_repetitions(bits)

    assert bits.any()
    names.advance(b'": 2, "b')
    names.clear_repetitions(bits)
    assert bits.any()


def test_objects_of_an_engine_have_no_name_twice(harness: Harness) -> None:
    schema = {
        "type": "object",
        "patternProperties": {"^(a|b[a-d])$": {"const": 1}},
        "additionalProperties": False,
        "minProperties": 5,
    }
    grammar = LLMatcher.grammar_from_json_schema(
        json.dumps(schema), overrides={"whitespace_flexible": False}
    )

    free, differing = (_objects(harness, grammar, output) for output in (None, JsonOutput()))

    assert all(len(names) >= 5 for names in (*free, *differing))
    assert any(len(set(names)) < len(names) for names in free)
    assert all(len(set(names)) == len(names) for names in differing)


def _objects(harness: Harness, grammar: str, output: JsonOutput | None) -> list[Sequence[str]]:
    """Return the names in each of some objects, in order."""
    requests = [
        GenerationRequest(
            sequence_id=f"{output is None}{seed}",
            prompt=[1, 2, 3],
            params=SamplingParams(max_tokens=120, seed=seed),
            grammar=grammar,
            json=output,
        )
        for seed in range(8)
    ]
    texts: list[Any] = [text_of(tokens) for tokens in harness.run(*requests)]
    return [
        json.loads(text, object_pairs_hook=lambda pairs: [name for name, _ in pairs])
        for text in texts
    ]
