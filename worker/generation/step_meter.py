"""Measures of the engine's steps: tokens, and the time to the first and between the others.

Everything is counted once a step, never once a token.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from models.metrics.measures import age_s
from models.metrics.recorder import RECORDER
from models.metrics.table import ITL, TOKENS, TTFT
from models.responses.record import ResponseRecord
from worker.engine.interface import Delta


class Started(Protocol):
    """Response that is to be generated."""

    record: ResponseRecord
    is_first_token_due: bool
    first_token_ns: int
    num_prompt_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Tokens since the worker began."""

    output: int = 0
    prompt: int = 0
    """Those of prompts whose first token has come."""
    cached: int = 0
    """Those of them that the prefix cache had."""


class StepMeter:
    """Meter of one engine; `note_step` is called by one thread, `expect` by any."""

    def __init__(self, model: str = "") -> None:
        self._model = model
        self._stepped_at = 0.0
        self.work = Work()
        self._expected: dict[str, Started] = {}
        """Responses whose sequences have no token yet, by the ids of these."""

    def expect(self, started: Started, sequence_ids: Iterable[str]) -> None:
        """Expect the first tokens of sequences of a response, which are to be submitted."""
        self._expected.update(dict.fromkeys(sequence_ids, started))

    def note_step(self, deltas: list[Delta], at: float) -> None:
        """Count the tokens of a step that ended at a monotonic time.

        A sequence that goes on has had a token in the step before.
        """
        num_tokens = len(deltas) - [delta.token_id for delta in deltas].count(None)
        num_first = self._note_first(deltas) if self._expected else 0
        if num_tokens:
            RECORDER.count(TOKENS, "output", self._model, amount=num_tokens)
            self.work = replace(self.work, output=self.work.output + num_tokens)
        if num_tokens > num_first:
            interval_s = at - self._stepped_at
            RECORDER.observe(ITL, interval_s, self._model, times=num_tokens - num_first)
        self._stepped_at = at

    def _note_first(self, deltas: list[Delta]) -> int:
        """Return how many sequences have their first token in this step."""
        num_first = 0
        for delta in deltas:
            started = self._expected.pop(delta.sequence_id, None)
            if started is None or delta.token_id is None:
                continue
            num_first += 1
            self._note_prompt(started.num_prompt_tokens, delta.num_cached_tokens)
            started.first_token_ns = started.first_token_ns or time.time_ns()
            if started.is_first_token_due:
                started.is_first_token_due = False
                RECORDER.observe(TTFT, age_s(started.record), self._model)
        return num_first

    def _note_prompt(self, num_tokens: int, num_cached: int) -> None:
        self.work = replace(
            self.work,
            prompt=self.work.prompt + num_tokens,
            cached=self.work.cached + min(num_cached, num_tokens),
        )
