"""Comparison of an engine with the oracle, in the situations in which an engine may go wrong."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.families.driver import AnswerError, Driver, greedy
from bench.families.oracle import Oracle
from bench.families.sizes import NUM_PROMPT_TOKENS

NUM_TOKENS = 24
"""Number of tokens of an answer."""
_RAGGED_SIZES = (60, 18, 1, 33)
_LONG_SIZE = 300
_NUM_SHARED = 200
"""Number of tokens that a prompt shares with the long one."""


class Prompts:
    """Prompts of a family, which follow from the seed."""

    def __init__(self, numbers: random.Random) -> None:
        self.numbers = numbers
        self.short = self.draw(12)
        self.ragged = [self.draw(size) for size in _RAGGED_SIZES]
        self.long = self.draw(_LONG_SIZE)

    def draw(self, size: int) -> list[int]:
        """Return random tokens."""
        return [self.numbers.randrange(1, NUM_PROMPT_TOKENS) for _ in range(size)]


@dataclass(slots=True)
class Findings:
    """Results of comparisons."""

    differences: list[str] = field(default_factory=list)
    """Situation and place of each answer that is wrong."""
    num_ties: int = 0
    tokens: set[int] = field(default_factory=set)
    """All tokens that were generated: a network that says little shows little."""
    remarks: list[str] = field(default_factory=list)


class Comparison:
    """Runs situations on an engine and adds to the findings.

    Raises `AnswerError`, with the situation, if a sequence does not end as requested.
    """

    def __init__(self, oracle: Oracle, prompts: Prompts, findings: Findings) -> None:
        self._oracle = oracle
        self._prompts = prompts
        self._findings = findings

    def run(self, driver: Driver) -> None:
        """Run every situation that needs no engine of its own."""
        prompts = self._prompts
        [answer] = self._check(driver, "short prompt", [prompts.short])
        answers = self._check(driver, "ragged prompts", prompts.ragged, num_late=2)
        self._check(driver, "300 tokens", [prompts.long])
        second_turn = [*prompts.ragged[0], *answers[0], *prompts.draw(5)]
        self._check_cached(driver, "second turn", second_turn)
        shared = [*prompts.long[:_NUM_SHARED], *prompts.draw(20)]
        self._check_cached(driver, "shared prefix", shared)
        self._check(driver, "three choices", [prompts.draw(50)] * 3)
        at = prompts.numbers.randrange(1, NUM_TOKENS)
        self._check(driver, f"resumed at {at}", [prompts.short], generated=answer[:at])

    def run_preempted(self, driver: Driver) -> None:
        """Run two prompts that do not fit into the engine's cache together."""
        self._check(driver, "preempted", self._prompts.ragged[:2])
        if not driver.has_preempted:
            self._findings.remarks.append("never short of blocks")

    def _check_cached(self, driver: Driver, situation: str, prompt: list[int]) -> None:
        self._check(driver, situation, [prompt])
        if not driver.num_cached(f"{situation} 0"):
            self._findings.remarks.append(f"nothing cached for the {situation}")

    def _check(
        self,
        driver: Driver,
        situation: str,
        prompts: Sequence[list[int]],
        *,
        num_late: int = 0,
        generated: Sequence[int] = (),
    ) -> list[list[int]]:
        requests = [
            greedy(f"{situation} {number}", prompt, NUM_TOKENS, generated)
            for number, prompt in enumerate(prompts)
        ]
        num_first = len(requests) - num_late
        try:
            answers = driver.run(requests[:num_first], requests[num_first:])
        except AnswerError as error:
            raise AnswerError(f"{situation}: {error}") from error
        for prompt, answer in zip(prompts, answers, strict=True):
            self._compare(situation, prompt, [*generated, *answer])
        return answers

    def _compare(self, situation: str, prompt: list[int], answer: list[int]) -> None:
        agreement = self._oracle.compare(prompt, answer)
        self._findings.num_ties += agreement.num_ties
        self._findings.tokens.update(answer)
        if agreement.differs_at is not None:
            self._findings.differences.append(
                f"{situation}, {len(prompt)} tokens: token {agreement.differs_at} is wrong, "
                f"{agreement.gap:.2g} deviations below the likeliest"
            )
