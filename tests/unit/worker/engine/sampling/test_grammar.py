import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from llguidance import LLMatcher, grammar_from
from llguidance.hf import from_tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from models.grammars.validate import GrammarChecker
from tests.unit.worker.engine.conftest import EOS, EngineFactory, Oracle, byte_tokenizer
from tests.unit.worker.engine.harness import Harness, greedy
from worker.engine.interface import FinishReason, GenerationRequest
from worker.engine.params import SamplingParams
from worker.engine.sampling.grammar import GrammarCompiler

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"enum": ["Ada", "Grace"]},
        "age": {"type": "integer", "minimum": 0, "maximum": 99},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
JSON_GRAMMAR = LLMatcher.grammar_from_json_schema(
    json.dumps(SCHEMA), overrides={"whitespace_flexible": False}
)
EXPLODING_GRAMMAR = grammar_from("regex", "((a{1000}){1000}){1000}")

Prompts = list[list[int]]


def constrained_request(sequence_id: str, grammar: str, seed: int = 0) -> GenerationRequest:
    params = SamplingParams(max_tokens=60, seed=seed)
    return GenerationRequest(
        sequence_id=sequence_id, prompt=[1, 2, 3], params=params, grammar=grammar
    )


def text_of(tokens: list[int]) -> str:
    return str(byte_tokenizer().decode(tokens))


def test_constrained_rows_obey_and_free_rows_are_untouched(
    harness: Harness, oracle: Oracle, prompts: Prompts
) -> None:
    *objects, free = harness.run(
        *(constrained_request(str(seed), JSON_GRAMMAR, seed) for seed in range(6)),
        greedy("free", prompts[0]),
    )

    people = [json.loads(text_of(tokens)) for tokens in objects]
    assert all(person["name"] in ("Ada", "Grace") for person in people)
    assert all(0 <= person["age"] <= 99 for person in people)
    assert len({json.dumps(person) for person in people}) > 1
    assert free == oracle(prompts[0], 12)


def test_a_grammar_that_allows_nothing_more_ends_the_sequence(harness: Harness) -> None:
    [tokens] = harness.run(constrained_request("it", grammar_from("lark", 'start: "yes" | "no"')))

    assert text_of(tokens) in ("yes", "no")
    assert harness.reason("it") is FinishReason.GRAMMAR


def test_a_grammar_that_may_end_lets_the_model_stop(harness: Harness) -> None:
    grammar = grammar_from("regex", "a{0,3}")
    [tokens] = harness.run(constrained_request("it", grammar, seed=3))

    assert set(text_of(tokens)) <= {"a"}
    assert tokens[-1] == EOS or len(tokens) == 3


def test_a_constrained_answer_resumes_at_every_position(harness: Harness) -> None:
    [whole] = harness.run(constrained_request("whole", JSON_GRAMMAR, seed=4))

    rests = harness.run(
        *(
            GenerationRequest(
                sequence_id=str(n),
                prompt=[1, 2, 3],
                params=SamplingParams(max_tokens=60, seed=4),
                generated=whole[:n],
                grammar=JSON_GRAMMAR,
            )
            for n in range(len(whole) + 1)
        )
    )

    assert rests == [whole[n:] for n in range(len(whole) + 1)]


@pytest.mark.parametrize("grammar", ["{not a grammar", EXPLODING_GRAMMAR])
def test_a_bad_grammar_fails_alone(
    harness: Harness, oracle: Oracle, prompts: Prompts, grammar: str
) -> None:
    outputs = harness.run(
        constrained_request("bad", grammar),
        constrained_request("good", JSON_GRAMMAR),
        greedy("free", prompts[0]),
    )

    assert harness.reason("bad") is FinishReason.ERROR
    assert harness.deltas["bad"][-1].error
    assert "name" in json.loads(text_of(outputs[1]))
    assert outputs[2] == oracle(prompts[0], 12)


def test_resumed_tokens_that_break_the_grammar_fail_the_sequence(harness: Harness) -> None:
    harness.run(greedy("it", [1], generated=[5, 6], grammar=JSON_GRAMMAR))

    assert harness.reason("it") is FinishReason.ERROR


def test_a_grammar_with_an_error_is_not_compiled_here() -> None:
    compiler = GrammarCompiler(
        lambda: pytest.fail("the grammar was compiled"), {}, find_error=lambda grammar: "too slow"
    )

    with pytest.raises(ValueError, match="cannot be compiled: too slow"):
        compiler.matcher(JSON_GRAMMAR)


def _num_compiled(num_mebibytes: int, num_grammars: int) -> int:
    """Use grammars of a size twice, one after the other; return how often one was compiled."""
    compiled: list[str] = []

    def note(grammar: str) -> str:
        compiled.append(grammar)
        return ""

    calls = count()
    wrap: Any = PreTrainedTokenizerFast
    tokenizer = wrap(tokenizer_object=byte_tokenizer(), eos_token="<end>")
    compiler = GrammarCompiler(
        lambda: from_tokenizer(tokenizer),
        {},
        find_error=note,
        cache_bytes=16 << 20,
        resident_bytes=lambda: (next(calls) * num_mebibytes) << 20,
    )
    for _ in range(2):
        for number in range(num_grammars):
            assert compiler.matcher(grammar_from("regex", f"a{number}")).error is None
    return len(compiled)


@pytest.mark.parametrize(
    ("num_mebibytes", "num_grammars", "num_compiled"),
    [(0, 16, 16), (4, 4, 4), (4, 5, 10), (17, 1, 2)],
)
def test_compiled_grammars_are_kept_within_a_number_of_bytes(
    num_mebibytes: int, num_grammars: int, num_compiled: int
) -> None:
    assert _num_compiled(num_mebibytes, num_grammars) == num_compiled


def test_a_grammar_that_no_child_survives_is_not_compiled_by_the_engine(
    make_engine: EngineFactory, folder: Path
) -> None:
    loader: Any = AutoTokenizer
    checker = GrammarChecker(loader.from_pretrained(folder), leniency=0.1)
    harness = make_engine(find_grammar_error=checker.find_error)
    patterns = [{"pattern": f".*{letter}.*{letter}.*"} for letter in "abcdefghijklmnopqrst"]
    exploding = LLMatcher.grammar_from_json_schema(
        json.dumps({"type": "string", "allOf": patterns})
    )

    with pytest.raises(ValueError, match="cannot be compiled: compiling it takes more than"):
        harness.engine.submit(constrained_request("refused", exploding))

    [tokens] = harness.run(constrained_request("other", grammar_from("regex", "[ab]{20}")))
    assert len(tokens) == 20
