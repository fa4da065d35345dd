"""Every kind of grammar, from the body of a request to the tokens of a random network.

A random network writes valid output only because the mask forces it to. The judges (jsonschema, re,
lark) share no code with the engine's compiler.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jsonschema
import lark
import pytest

from models.grammars.compile import grammar_of
from models.schemas.request.create_response import CreateResponse
from tests.unit.worker.engine.conftest import Oracle, byte_tokenizer
from tests.unit.worker.engine.harness import Harness, greedy
from worker.engine.interface import FinishReason, GenerationRequest
from worker.engine.params import SamplingParams

NUM_SEEDS = 20
NUM_FREE = 3

Judge = Callable[[str], object]

_PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 1, "maxItems": 3},
        "age": {"type": ["integer", "null"], "minimum": 0, "maximum": 130},
    },
    "required": ["name", "tags", "age"],
    "additionalProperties": False,
}
_UNION = {"oneOf": [{"type": "integer", "multipleOf": 5}, {"type": "boolean"}]}
_TREE = {
    "$defs": {"node": {"type": "array", "items": {"$ref": "#/$defs/node"}, "maxItems": 2}},
    "$ref": "#/$defs/node",
}
_DATE = r"(19|20)\d{2}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
_SUM = 'start: term (("+" | "-") term)*\nterm: NUMBER | "(" start ")"\nNUMBER: /[0-9]{1,3}/\n'
_IGNORING = 'start: "if" NAME "then" NAME\nNAME: /[a-c]{1,4}/\n%ignore / {1,2}/\n'
_LIST = {
    "grammars": [
        {"lark_grammar": 'start: "<" @pair ">" @word'},
        {"name": "pair", "json_schema": {"type": "array", "items": {"enum": [1, 2]}}},
        {"name": "word", "lark_grammar": "start: /[xyz]{1,5}/"},
    ]
}


def instance_of(schema: dict[str, Any]) -> Judge:
    return lambda text: jsonschema.validate(json.loads(text), schema)


def match_of(pattern: str) -> Judge:
    def judge(text: str) -> None:
        assert re.fullmatch(pattern, text, re.DOTALL), text

    return judge


def sentence_of(grammar: str) -> Judge:
    return lark.Lark(grammar, parser="earley").parse


def chosen(kind: str, value: Any) -> dict[str, Any]:
    return {"grammar": {"type": kind, "value": value}}


KINDS: dict[str, tuple[dict[str, Any], Judge]] = {
    "json_object": ({"text": {"format": {"type": "json_object"}}}, instance_of({"type": "object"})),
    "text.format": (
        {"text": {"format": {"type": "json_schema", "name": "a", "schema": _PERSON}}},
        instance_of(_PERSON),
    ),
    "response_format": (
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "a", "schema": _UNION},
            }
        },
        instance_of(_UNION),
    ),
    "schema": (chosen("json_schema", _TREE), instance_of(_TREE)),
    "schema as text": (chosen("json_schema", json.dumps(_PERSON)), instance_of(_PERSON)),
    "regex": (chosen("regex", _DATE), match_of(_DATE)),
    "regex with slashes": (chosen("regex", r'a/b\n"[cd/]{1,3}"'), match_of(r'a/b\n"[cd/]{1,3}"')),
    "lark": (chosen("lark", _SUM), sentence_of(_SUM)),
    "lark that ignores": (chosen("lark", _IGNORING), sentence_of(_IGNORING)),
    "list": (chosen("llguidance", _LIST), match_of(r"<\s*\[[12,\s]*\]\s*>[xyz]{1,5}")),
}


def request_of(
    fields: dict[str, Any],
    seed: int,
    max_tokens: int = 300,
    *,
    prompt: Sequence[int] = (1, 2, 3),
    sequence_id: str = "",
) -> GenerationRequest:
    parameters = CreateResponse.model_validate({"input": "a"} | fields).parameters()
    params = SamplingParams(
        max_tokens=min(parameters.output_limit or max_tokens, max_tokens), seed=seed
    )
    return GenerationRequest(
        sequence_id=sequence_id or str(seed),
        prompt=prompt,
        params=params,
        grammar=grammar_of(parameters),
    )


def text_of(tokens: list[int]) -> str:
    return str(byte_tokenizer().decode(tokens))


@pytest.mark.parametrize(("fields", "judge"), KINDS.values(), ids=KINDS)
def test_what_a_random_network_writes_obeys(
    harness: Harness,
    oracle: Oracle,
    prompts: list[list[int]],
    fields: dict[str, Any],
    judge: Judge,
) -> None:
    held = [request_of(fields, seed) for seed in range(NUM_SEEDS)]
    free = [greedy(f"free {n}", prompts[n]) for n in range(NUM_FREE)]

    outputs = harness.run(*held, *free)

    reasons = [harness.reason(request.sequence_id) for request in held]
    ended = [
        text_of(tokens)
        for tokens, reason in zip(outputs, reasons, strict=False)
        if reason is not FinishReason.LENGTH
    ]
    assert set(reasons) <= {FinishReason.STOP, FinishReason.GRAMMAR, FinishReason.LENGTH}
    assert ended
    for text in ended:
        judge(text)
    assert outputs[NUM_SEEDS:] == [oracle(prompts[n], 12) for n in range(NUM_FREE)]


def test_a_constrained_answer_resumes_at_every_position(harness: Harness) -> None:
    request = request_of(chosen("json_schema", _PERSON), seed=3, max_tokens=60)
    [whole] = harness.run(request)

    rests = harness.run(
        *(
            replace(request, sequence_id=f"rest {n}", generated=whole[:n])
            for n in range(len(whole) + 1)
        )
    )

    assert rests == [whole[n:] for n in range(len(whole) + 1)]


def test_the_limit_of_a_list_ends_the_output_as_too_long(harness: Harness) -> None:
    value = {"grammars": [{"lark_grammar": "start: /a{10}/"}], "max_tokens": 3}

    [tokens] = harness.run(request_of(chosen("llguidance", value), seed=0))

    assert text_of(tokens) == "aaa"
    assert harness.reason("0") is FinishReason.LENGTH


def test_lexer_settings_of_a_rule_are_honoured(harness: Harness) -> None:
    grammar = 'start: head "!" tail\nhead[max_tokens=2]: /[a-z]*/\ntail[stop=";"]: /[0-9;]{1,50}/'

    texts = [
        text_of(tokens)
        for tokens in harness.run(*(request_of(chosen("lark", grammar), n) for n in range(5)))
    ]

    assert all(re.match(r"[a-z]{0,2}!", text) for text in texts)


def test_a_grammar_that_explodes_late_fails_alone_with_its_reason(harness: Harness) -> None:
    exploding = request_of(chosen("regex", "b{30}(a{1,300}){99,300}"), 0)
    good = request_of(chosen("regex", _DATE), 1)

    _, date = harness.run(exploding, good)

    last = harness.deltas["0"][-1]
    assert last.finish_reason is FinishReason.ERROR
    assert last.error is not None
    assert last.error.startswith("The grammar cannot be followed any further: ")
    assert re.fullmatch(_DATE, text_of(date))
