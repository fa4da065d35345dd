"""Calls that are demanded of models with special tokens: whatever is drawn, it is read as one."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llguidance import LLMatcher
from transformers import AutoTokenizer

from models.grammars.calls.argument_types import argument_types
from models.grammars.tokenizer import grammar_tokenizer
from models.schemas.request.parameters import GenerationParameters
from models.tools.choice import format_of
from tests.chat_styles.styles import STYLES
from worker.generation.request.engine_request import turn_grammar
from worker.parsing.segments import Kind
from worker.parsing.turns import TurnFormat

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "place": {"enum": ["Oslo", "Bergen"]},
        "days": {"type": "integer", "maximum": 9},
    },
    "required": ["place", "days"],
}
TOOL = {"type": "function", "name": "find", "parameters": SCHEMA}
ENDS = ("<|return|>", "<|im_end|>", "</s>", "<|eot_id|>", "<|endoftext|>")
MOST = 600


def matcher_of(grammar: str, folder: Path) -> tuple[LLMatcher, Any]:
    """Return the matcher of a grammar as the engine makes it, and the tokenizer."""
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    ends = [tokenizer.get_vocab()[text] for text in ENDS if text in tokenizer.get_vocab()]
    compiled = grammar_tokenizer(tokenizer, num_tokens=len(tokenizer), eos_token_ids=ends[:1])
    matcher = LLMatcher(compiled, grammar, log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    return matcher, tokenizer


def draw(grammar: str, folder: Path, seed: int) -> list[int]:
    """Return tokens that are drawn at random among those that a grammar allows."""
    matcher, tokenizer = matcher_of(grammar, folder)
    ending = {
        token
        for text, token in tokenizer.get_vocab().items()
        if any(mark in text for mark in ('"', "</", "<|end|>"))
    }
    rng = random.Random(seed)
    drawn: list[int] = []
    while not matcher.is_stopped() and len(drawn) < MOST:
        bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
        allowed = [int(n) for n in np.flatnonzero(np.unpackbits(bits, bitorder="little"))]
        preferred = [token for token in allowed if token in ending]
        drawn.append(rng.choice(preferred if preferred and rng.random() < 0.4 else allowed))
        matcher.consume_token(drawn[-1])
    return drawn


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", ["gpt-oss", "qwen 3", "qwen 3 coder", "mistral", "llama 3", "phi"])
def test_whatever_is_drawn_is_a_call(name: str, seed: int, tmp_path: Path) -> None:
    encoder = replace(STYLES[name], shows_tools=False).write(tmp_path)
    fields = {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False}
    parameters = GenerationParameters.model_validate(fields | {"reasoning": {"effort": "none"}})
    grammar = turn_grammar(parameters, encoder, turn=0, can_search=False, opens_reasoning=False)
    assert grammar is not None
    turn_format = TurnFormat(
        think_tags=encoder.think_tags,
        answer_tags=encoder.answer_tags,
        call_format=format_of(parameters, encoder.profile),
        functions=frozenset({"find"}),
        types={"find": argument_types(SCHEMA)},
    )
    parser = turn_format.parser(opens_reasoning=False)

    text = encoder.tokenizer.decode(draw(grammar, tmp_path, seed), skip_special_tokens=True)
    segments = [*parser.add(text), *parser.flush()]

    assert [part.name for part in segments if part.kind is Kind.CALL_BEGIN] == ["find"], text
    arguments = [part for part in segments if part.kind is Kind.ARGUMENTS]
    values = json.loads("".join(p.text if p.json is None else p.json for p in arguments))
    assert (list(values), type(values["days"])) == (["place", "days"], int)


@pytest.mark.parametrize(
    ("name", "turn"),
    [
        (
            "qwen 3",
            "<think>\nHm.\n</think>\n\nI ask.\n<tool_call>\n"
            '{"name": "find", "arguments": {"place": "Oslo", "days": 1}}\n</tool_call>',
        ),
        ("qwen 3", "<think>\nHm.\n</think>\n\nIt is 7."),
        ("qwen 3", "It is 7."),
        (
            "qwen 3 coder",
            "<tool_call>\n<function=find>\n<parameter=place>\nOslo\n</parameter>\n"
            "<parameter=days>\n1\n</parameter>\n</function>\n</tool_call>",
        ),
        (
            "gpt-oss",
            "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant"
            "<|channel|>final<|message|>It is 7.",
        ),
        (
            "gpt-oss",
            "<|channel|>commentary to=functions.find <|constrain|>json<|message|>"
            '{"place": "Oslo", "days": 1}',
        ),
    ],
)
def test_models_are_free_to_reason_to_answer_or_to_call(
    name: str, turn: str, tmp_path: Path
) -> None:
    encoder = replace(STYLES[name], shows_tools=False).write(tmp_path)
    parameters = GenerationParameters.model_validate({"tools": [TOOL]})
    grammar = turn_grammar(parameters, encoder, turn=0, can_search=False, opens_reasoning=False)
    assert grammar is not None
    matcher, tokenizer = matcher_of(grammar, tmp_path)

    tokens = tokenizer.encode(turn, add_special_tokens=False)

    assert matcher.consume_tokens(tokens)
    assert matcher.is_accepting()
