"""Engine under test: runs requests through its public interface and collects their tokens."""

from collections import defaultdict
from collections.abc import Sequence
from threading import Condition
from typing import Any

from worker.engine.interface import Delta, EngineConfig, FinishReason, GenerationRequest
from worker.engine.params import SamplingParams
from worker.engine.transformers.engine import TransformersEngine
from worker.engine.transformers.model.memory import MIN_STATES, NUM_BLOCKS_WITHOUT_KEYS

_DEADLINE_S = 120.0
_STEPS_BETWEEN = 3
"""Number of steps after which one more of the late requests is submitted."""


class AnswerError(Exception):
    """A sequence did not end as requested; the message says how."""


class Driver:
    """A running engine that records what it delivers."""

    def __init__(self, config: EngineConfig) -> None:
        self._engine = TransformersEngine(config, self._on_step)
        self._changed = Condition()
        self._deltas: dict[str, list[Delta]] = defaultdict(list)
        self._late: list[GenerationRequest] = []
        self._ids: set[str] = set()
        self._num_steps = 0
        self.has_preempted = False
        """True once a sequence that had begun was waiting again."""
        self._engine.start()

    @property
    def library(self) -> str:
        """Name of the library that computes the forward pass."""
        forward = type(self._engine._runner._compute)
        return "OpenVINO" if ".openvino." in forward.__module__ else "torch"

    def cache_bytes_for(self, num_tokens: int, cache_bytes: int) -> int | None:
        """Return the bytes of a cache for so many tokens, if this engine's has `cache_bytes`.

        They leave room for the states of three sequences or more. Returns None for a network that
        keeps states and no keys.
        """
        runner: Any = self._engine._runner
        num_cached = int(runner.num_blocks * runner.block_size)
        if (states := runner.states) is None:
            return cache_bytes * num_tokens // num_cached
        if runner.num_blocks == NUM_BLOCKS_WITHOUT_KEYS:
            return None
        slot_bytes, num_slots = int(states.slot_bytes), int(states.num_slots)
        keys_bytes = cache_bytes - num_slots * slot_bytes
        few = -(-keys_bytes * num_tokens // num_cached)
        return few + min(max(few // slot_bytes, MIN_STATES), num_slots) * slot_bytes

    def run(
        self, requests: Sequence[GenerationRequest], late: Sequence[GenerationRequest] = ()
    ) -> list[list[int]]:
        """Run requests, the late ones joining one by one, and return the tokens of all.

        Raises `AnswerError` if one does not end at its number of tokens.
        """
        everything = [*requests, *late]
        self._late = list(late)
        self._ids = {request.sequence_id for request in everything}
        for request in requests:
            self._engine.submit(request)
        with self._changed:
            if not self._changed.wait_for(self._have_all_ended, _DEADLINE_S):
                raise AnswerError(f"no end within {_DEADLINE_S:.0f} s")
        return [self._tokens(request.sequence_id) for request in everything]

    def num_cached(self, sequence_id: str) -> int:
        """Return the number of prompt tokens that were found in the prefix cache."""
        return self._deltas[sequence_id][0].num_cached_tokens

    def stop(self) -> None:
        """Stop the engine."""
        self._engine.stop()

    def _on_step(self, deltas: list[Delta]) -> None:
        with self._changed:
            for delta in deltas:
                self._deltas[delta.sequence_id].append(delta)
            self._num_steps += 1
            have_begun = all(sequence_id in self._deltas for sequence_id in self._ids)
            if have_begun and self._engine.num_waiting and not self._have_all_ended():
                self.has_preempted = True
            due = self._late[:1] if self._num_steps % _STEPS_BETWEEN == 0 else []
            del self._late[: len(due)]
            self._changed.notify_all()
        for request in due:
            self._engine.submit(request)

    def _have_all_ended(self) -> bool:
        return all(
            sequence_id in self._deltas and self._deltas[sequence_id][-1].finish_reason
            for sequence_id in self._ids
        )

    def _tokens(self, sequence_id: str) -> list[int]:
        last = self._deltas[sequence_id][-1]
        if last.finish_reason is not FinishReason.LENGTH:
            raise AnswerError(f"ended with {last.finish_reason}: {last.error}")
        deltas = self._deltas[sequence_id]
        return [delta.token_id for delta in deltas if delta.token_id is not None]


def greedy(
    sequence_id: str, prompt: Sequence[int], num_tokens: int, generated: Sequence[int] = ()
) -> GenerationRequest:
    """Return a request for `num_tokens` tokens, each the likeliest, those generated included."""
    return GenerationRequest(
        sequence_id=sequence_id,
        prompt=prompt,
        params=SamplingParams(max_tokens=num_tokens, temperature=0, ignore_eos=True),
        generated=generated,
    )
