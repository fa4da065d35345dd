"""Runner that times batches of random prompts on our engine in this process."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.server import BenchError
from worker.engine.interface import Delta, EngineConfig, GenerationRequest
from worker.engine.params import SamplingParams
from worker.engine.transformers.engine import TransformersEngine

PROMPT_TOKENS = 128
DEADLINE_S = 600.0


def clock_of(device: str) -> Callable[[], float]:
    """Return the clock to time `device` with, in seconds.

    On a CPU it is the CPU time of this process, because other processes may share the cores; on a
    GPU it is wall-clock time.
    """
    return time.process_time if device == "cpu" else time.monotonic


@dataclass(slots=True)
class FullSteps:
    """Totals over the steps in which every sequence decoded one token, without the last step."""

    seconds: float = 0.0
    num_steps: int = 0
    num_tokens: int = 0
    """Tokens generated."""
    num_read: int = 0
    """Tokens whose keys and values were read: those of all sequences, summed over the steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Tokens and time of one batch."""

    num_tokens: int
    seconds: float
    """Time by `clock_of(device)`, prefill included."""
    outside_share: float
    """Share of the engine thread's CPU time outside the forward pass, after prefill; 0 to 1."""
    full_steps: FullSteps

    @property
    def tokens_per_s(self) -> float:
        """Generated tokens per second."""
        return self.num_tokens / self.seconds


class Bench:
    """Loaded engine that runs one batch after the other."""

    def __init__(self, config: EngineConfig) -> None:
        self.prompts: list[list[int]] = []
        """Token ids of the last batch's prompts; all differ, so that no prefix is cached."""
        self._left: set[str] = set()
        self._num_tokens = 0
        self._forward_s = self._decode_began_s = self._decode_ended_s = 0.0
        self._full_steps = FullSteps()
        self._full_step_began_s: float | None = None
        self._num_reading = 0
        self._done = threading.Event()
        self._clock = clock_of(config.device)
        self._engine: Any = TransformersEngine(config, self._on_step)
        runner: Any = getattr(self._engine, "_runner")  # noqa: B009 - to time the forward pass
        self._forward, runner.forward = runner.forward, self._timed_forward
        self._vocab_size: int = runner.vocab_size
        self._numbers = random.Random(0)
        self._engine.start()

    def close(self) -> None:
        """Stop the engine."""
        self._engine.stop()

    def run(self, count: int, num_tokens: int, grammar: str | None = None, **params: Any) -> Run:
        """Generate `num_tokens` for each of `count` prompts submitted at once.

        `params` are further sampling parameters. Raises `BenchError` on a timeout.
        """
        self.prompts = [
            [self._numbers.randrange(self._vocab_size) for _ in range(PROMPT_TOKENS)]
            for _ in range(count)
        ]
        self._left = {str(number) for number in range(count)}
        self._num_tokens = 0
        self._forward_s = self._decode_began_s = 0.0
        self._full_steps, self._full_step_began_s = FullSteps(), None
        self._done.clear()
        began = self._clock()
        for number, prompt in enumerate(self.prompts):
            settings = {"temperature": 0.0, "ignore_eos": True, **params}
            sampling = SamplingParams(max_tokens=num_tokens, seed=number, **settings)
            self._engine.submit(
                GenerationRequest(
                    sequence_id=str(number), prompt=prompt, params=sampling, grammar=grammar
                )
            )
        if not self._done.wait(DEADLINE_S):
            raise BenchError(f"{len(self._left)} of {count} sequences have not ended")
        decode_s = self._decode_ended_s - self._decode_began_s
        return Run(
            num_tokens=self._num_tokens,
            seconds=self._clock() - began,
            outside_share=1 - self._forward_s / decode_s,
            full_steps=self._full_steps,
        )

    def _timed_forward(self, batch: Sequence[Any]) -> Any:
        self._note_full_step(batch)
        if all(chunk.num_tokens == 1 for chunk in batch) and not self._decode_began_s:
            self._decode_began_s = time.thread_time()
        began = time.thread_time()
        logits = self._forward(batch)
        if self._decode_began_s:
            self._forward_s += time.thread_time() - began
        return logits

    def _note_full_step(self, batch: Sequence[Any]) -> None:
        # A step lasts until the next one begins: by then its tokens were copied from the device.
        now = self._clock()
        steps = self._full_steps
        if self._full_step_began_s is not None:
            steps.seconds += now - self._full_step_began_s
            steps.num_steps += 1
            steps.num_tokens += len(self.prompts)
            steps.num_read += self._num_reading
        is_full = len(batch) == len(self.prompts) and all(chunk.num_tokens == 1 for chunk in batch)
        self._full_step_began_s = now if is_full else None
        self._num_reading = sum(len(chunk.sequence.tokens) for chunk in batch)

    def _on_step(self, deltas: list[Delta]) -> None:
        for delta in deltas:
            self._num_tokens += delta.token_id is not None
            if delta.finish_reason is not None:
                self._left.discard(delta.sequence_id)
        if not self._left:
            self._decode_ended_s = time.thread_time()
            self._done.set()
