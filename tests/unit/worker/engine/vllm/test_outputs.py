"""Log probabilities as vLLM gives them: by token, the drawn one among the likeliest or not."""

from dataclasses import dataclass, field
from math import inf
from typing import Any

from worker.engine.interface import LOGPROB_FLOOR, Logprobs
from worker.engine.vllm.outputs import read_logprobs, read_token


@dataclass
class Entry:
    logprob: float
    rank: int


@dataclass
class Completion:
    token_ids: list[int]
    logprobs: list[dict[int, Entry]] | None = None


@dataclass
class Output:
    outputs: list[Completion] = field(default_factory=list)


def output_of(drawn: int, entries: dict[int, Entry]) -> Any:
    return Output([Completion([drawn], [entries])])


def test_a_drawn_token_among_the_likeliest_is_one_of_them() -> None:
    output = output_of(7, {7: Entry(-1.0, 2), 5: Entry(-0.5, 1)})

    assert read_logprobs(output, 2) == Logprobs(-1.0, ((5, -0.5), (7, -1.0)))


def test_a_drawn_token_beyond_the_likeliest_is_none_of_them() -> None:
    output = output_of(7, {7: Entry(-inf, 9), 5: Entry(-0.5, 1), 6: Entry(-0.5, 2)})

    assert read_logprobs(output, 2) == Logprobs(LOGPROB_FLOOR, ((5, -0.5), (6, -0.5)))
    assert read_logprobs(output_of(7, {7: Entry(-3.0, 9)}), 0) == Logprobs(-3.0, ())


def test_none_are_read_that_were_not_asked_for() -> None:
    output: Any = Output([Completion([7])])

    assert read_logprobs(output, None) is None


def test_a_step_of_a_prompt_has_no_token() -> None:
    nothing: Any = Output([Completion([])])

    assert read_token(nothing) is None
    assert read_token(output_of(7, {})) == 7
