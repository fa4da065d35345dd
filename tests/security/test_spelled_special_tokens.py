"""Constrained text that spells a special token is text, whatever the constraint (finding D4)."""

import json
from typing import Any

import numpy as np
import pytest
from llguidance import LLMatcher, grammar_from
from tokenizers import AddedToken

from models.errors import InvalidRequestError
from models.grammars.compile import grammar_of
from models.grammars.tokenizer import grammar_tokenizer
from models.grammars.validate import GrammarChecker
from models.schemas.request.parameters import GenerationParameters
from tests.acceptance.server import AntiphonServer
from tests.regressions.server_requests import case, completed, schema_format, text_of
from tests.unit.models.tiny_tokenizer import tiny_tokenizer

SPECIAL = "<|im_end|>"
KEY = {
    "type": "object",
    "properties": {SPECIAL: {"const": "<filename>"}},
    "required": [SPECIAL],
    "additionalProperties": False,
}


def test_the_case_is_completed_with_exactly_its_text(server: AntiphonServer) -> None:
    assert text_of(completed(server, case("special_token_text"))) == "b<|im_start|>"


@pytest.mark.parametrize(
    ("constraint", "text"),
    [
        (
            {"grammar": {"type": "regex", "value": r"<\|im_end\|>(<\|im_end\|>)x"}},
            SPECIAL * 2 + "x",
        ),
        ({"grammar": {"type": "lark", "value": f'start: "{SPECIAL}" "!"'}}, f"{SPECIAL}!"),
        (schema_format({"const": "<filename>"}), '"<filename>"'),
        (schema_format(KEY, strict=True), json.dumps({SPECIAL: "<filename>"})),
    ],
    ids=["regex", "lark", "const", "key"],
)
def test_text_that_a_constraint_forces_may_spell_a_special_token(
    server: AntiphonServer, constraint: dict[str, Any], text: str
) -> None:
    body = {"input": "x", "max_output_tokens": 80, **constraint}

    assert text_of(completed(server, body)) == text


def test_forced_text_is_followed_without_the_token_that_it_spells() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.backend_tokenizer.add_special_tokens([AddedToken(SPECIAL, special=True)])
    special_id = tokenizer.backend_tokenizer.token_to_id(SPECIAL)
    tokens = grammar_tokenizer(tokenizer)
    matcher = LLMatcher(tokens, grammar_from("regex", r"a<\|im_end\|>"), log_level=0)

    written = b""
    while not matcher.is_stopped():
        mask = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
        [token] = np.flatnonzero(np.unpackbits(mask, bitorder="little"))
        assert token != special_id
        matcher.consume_token(int(token))
        written += tokens.decode_bytes([int(token)])

    assert written == f"a{SPECIAL}".encode()


@pytest.mark.parametrize(
    "grammar",
    ['start: "a" <[256]>', 'start: "a" <|im_end|>', "start: <[^256]>", "start: <[0-300]> /a/"],
)
def test_a_grammar_cannot_name_special_tokens(grammar: str) -> None:
    given = {"grammar": {"type": "lark", "value": grammar}}

    with pytest.raises(InvalidRequestError, match="tokens cannot be named") as raised:
        grammar_of(GenerationParameters.model_validate(given))

    assert (raised.value.param, raised.value.code) == ("grammar.value", "invalid_grammar")


@pytest.mark.parametrize(
    "grammar",
    [
        'start: "<[2]>" /<\\|x\\|>/',
        'start: "\\"<x>" // a comment about <think>',
        'start: %json {"const": "<a>"}',
        'start: "\\\\" "<b>"',
    ],
)
def test_angle_brackets_within_literals_are_no_tokens(grammar: str) -> None:
    parameters = GenerationParameters.model_validate(
        {"grammar": {"type": "lark", "value": grammar}}
    )

    GrammarChecker(tiny_tokenizer()).check(grammar_of(parameters) or "", param="grammar.value")
