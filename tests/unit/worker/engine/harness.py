"""Test harness of engines: submits requests, waits for ends with a deadline, records deltas."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from threading import Condition
from typing import Any

from worker.engine.interface import Delta, Engine, FinishReason, GenerationRequest
from worker.engine.params import SamplingParams

DEADLINE_S = 30.0

StepHook = Callable[[list[Delta]], None]


class Harness:
    """Listener that records every delta and lets a test act within a step."""

    def __init__(self, deadline_s: float = DEADLINE_S) -> None:
        self.engine: Engine
        self._deadline_s = deadline_s
        self.deltas: dict[str, list[Delta]] = defaultdict(list)
        self.steps: list[list[Delta]] = []
        self.on_step_hook: StepHook = lambda deltas: None
        self._changed = Condition()

    def on_step(self, deltas: list[Delta]) -> None:
        with self._changed:
            self.steps.append(deltas)
            for delta in deltas:
                self.deltas[delta.sequence_id].append(delta)
            self._changed.notify_all()
        self.on_step_hook(deltas)

    def wait(self, *sequence_ids: str) -> None:
        """Wait until these sequences have ended."""
        self.wait_until(lambda: all(self.reason(sequence_id) for sequence_id in sequence_ids))

    def wait_until(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, self._deadline_s), (
                "the engine did not get there"
            )

    def run(self, *requests: GenerationRequest) -> list[list[int]]:
        """Submit all, wait for all, return their tokens."""
        for request in requests:
            self.engine.submit(request)
        self.wait(*(request.sequence_id for request in requests))
        return [self.tokens(request.sequence_id) for request in requests]

    def tokens(self, sequence_id: str) -> list[int]:
        return [d.token_id for d in self.deltas[sequence_id] if d.token_id is not None]

    @property
    def block_size(self) -> int:
        """Number of tokens of a block, which depends on the forward pass."""
        return int(self.engine._runner.block_size)  # type: ignore[attr-defined]

    @property
    def num_pauses(self) -> int:
        """Number of steps that lacked a sequence after its first token and before its last."""
        ends = {name: deltas[-1] for name, deltas in self.deltas.items()}
        begun: set[str] = set()
        missing = 0
        for deltas in self.steps:
            names = {delta.sequence_id for delta in deltas}
            missing += bool(begun - names)
            begun |= names
            begun -= {delta.sequence_id for delta in deltas if delta is ends[delta.sequence_id]}
        return missing

    def count_preemptions(self) -> list[str]:
        """Return a list to which the name of every preempted sequence will be appended."""
        scheduler: Any = self.engine._scheduler  # type: ignore[attr-defined]
        preempt = scheduler._preempt_youngest
        preempted: list[str] = []

        def counted() -> None:
            preempted.append(scheduler.running[-1].id)
            preempt()

        scheduler._preempt_youngest = counted
        return preempted

    def reason(self, sequence_id: str) -> FinishReason | None:
        deltas = self.deltas.get(sequence_id)
        return deltas[-1].finish_reason if deltas else None


def greedy(  # noqa: PLR0913 - each test names the one thing that it varies
    sequence_id: str,
    prompt: Sequence[int],
    max_tokens: int = 12,
    *,
    generated: Sequence[int] = (),
    grammar: str | None = None,
    cache_salt: bytes = b"",
    ignore_eos: bool = True,
) -> GenerationRequest:
    return GenerationRequest(
        sequence_id=sequence_id,
        prompt=prompt,
        params=SamplingParams(max_tokens=max_tokens, temperature=0, ignore_eos=ignore_eos),
        generated=generated,
        grammar=grammar,
        cache_salt=cache_salt,
    )


def sampled(
    sequence_id: str,
    prompt: Sequence[int],
    seed: int,
    max_tokens: int = 12,
    *,
    generated: Sequence[int] = (),
    grammar: str | None = None,
    **asked: Any,
) -> GenerationRequest:
    settings = {"temperature": 0.9, "top_p": 0.95, "ignore_eos": True, **asked}
    params = SamplingParams(max_tokens=max_tokens, seed=seed, **settings)
    return GenerationRequest(
        sequence_id=sequence_id,
        prompt=prompt,
        params=params,
        generated=generated,
        grammar=grammar,
    )
