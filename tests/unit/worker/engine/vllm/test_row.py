"""Rows of vLLM's batch: their state follows from the tokens, however they came."""

from dataclasses import replace
from pathlib import Path

import pytest
from llguidance import grammar_from

from models.grammars.isolation.bounds import GRAMMAR_LIMITS
from models.grammars.tokenizer import grammar_tokenizer
from tests.unit.worker.engine.conftest import EOS, VOCAB_SIZE
from tests.unit.worker.engine.harness import sampled
from worker.engine.interface import ForcedPrefix, GenerationRequest
from worker.engine.sampling.grammar import GrammarCompiler
from worker.engine.vllm import drawing
from worker.engine.vllm.drawing import DrawingSetup
from worker.engine.vllm.row import Row

DIGITS = grammar_from("regex", "[0-9]{4}")


@pytest.fixture(scope="session")
def setup(folder: Path) -> DrawingSetup:
    return DrawingSetup(
        key="one",
        folder=str(folder),
        eos_token_ids=[EOS],
        grammar_limits=dict(GRAMMAR_LIMITS),
        make_grammar_tokenizer=f"{grammar_tokenizer.__module__}:{grammar_tokenizer.__name__}",
    )


@pytest.fixture(scope="session")
def compiler(setup: DrawingSetup) -> GrammarCompiler:
    return drawing.compiler_of(setup, VOCAB_SIZE)


@pytest.fixture
def request_with_all() -> GenerationRequest:
    asked = sampled("it", [1, 2, 3], seed=5, frequency_penalty=1.0, grammar=DIGITS)
    return replace(asked, forced_prefix=ForcedPrefix(token_ids=[1, 2], threshold=1.0))


def digits(text: str) -> list[int]:
    """Return the tokens of digits, which the tokenizer has in their order."""
    alphabet = sorted(chr(number) for number in range(33, 127))
    return [alphabet.index(char) for char in text]


def test_tokens_of_vllm_and_of_an_earlier_attempt_give_the_same_state(
    request_with_all: GenerationRequest, compiler: GrammarCompiler
) -> None:
    tokens = digits("407")
    output: list[int] = []
    grown = Row(request_with_all, output, compiler)
    for token in tokens:
        output.append(token)
        grown.read_output()

    resumed = Row(replace(request_with_all, generated=tokens), [], compiler)
    put_off = Row(request_with_all, list(tokens), compiler)
    put_off.read_output()

    for row in (resumed, put_off):
        assert row.draw == grown.draw
        assert (
            row.forced_prefix == grown.forced_prefix == (request_with_all.forced_prefix, tokens[:2])
        )
        assert row.penalties is not None
        assert grown.penalties is not None
        found, expected = row.penalties.compute_change(), grown.penalties.compute_change()
        assert dict(zip(found.token_ids, found.added, strict=True)) == dict(
            zip(expected.token_ids, expected.added, strict=True)
        )
        assert row.matcher is not None
        assert grown.matcher is not None
        assert row.matcher.raw.compute_bitmask() == grown.matcher.raw.compute_bitmask()
        assert not row.matcher.is_stopped


def test_a_row_counts_positions_from_the_first_attempt(
    request_with_all: GenerationRequest, compiler: GrammarCompiler
) -> None:
    output = digits("12")
    row = Row(replace(request_with_all, generated=digits("4")), output, compiler)

    assert row.draw.position == 1
    row.read_output()
    assert row.draw.position == 3


def test_failures_are_told_once_and_to_their_engine() -> None:
    drawing.note_failure("a", "it", "no token")
    drawing.note_failure("b", "it", "another")

    assert drawing.take_failures("a") == {"it": "no token"}
    assert drawing.take_failures("a") == {}
    drawing.forget("b")
    assert drawing.take_failures("b") == {}


def test_a_setup_goes_to_other_processes_as_plain_data(setup: DrawingSetup) -> None:
    assert drawing.setup_of({drawing.CONFIG_KEY: setup.to_json()}) == setup
    assert setup.failure_token == EOS
