"""Layers that keep a state per sequence, computed in packed steps.

The network's own mixers compute, whatever their kind: they get the rows of a step with the states
of their sequences, single tokens in one batch and longer chunks one by one.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from worker.engine.interface import UnsupportedModelError
from worker.engine.transformers.batch.packing import Pack, Row
from worker.engine.transformers.torch_forward.selective_scan import forward_from_state
from worker.engine.transformers.torch_forward.states import (
    MixerCache,
    StateName,
    StatePool,
    StateShape,
)

_CACHE_CALLS = frozenset({"update_conv_state", "update_recurrent_state", "set_linear_cache"})
"""Methods of a cache that only mixers with states call."""

Mixer = Callable[[Tensor, MixerCache, bool], Tensor]
"""A layer's mixer: it maps [rows, tokens, size] and the states of the rows to the same shape.

The last argument is True for tokens that are generated, not given."""

_NO_LIMIT = (0.0, float("inf"))


class MixerStep(Protocol):
    """Computation of the mixers in one step."""

    def mix(self, layer: int, mixer: Mixer, hidden_states: Tensor) -> Tensor:
        """Map packed tokens [1, tokens, size] to the same shape."""


class Mixers:
    """Mixers of a network, replaced by ones that compute the step that is set."""

    def __init__(self, model: Any) -> None:
        self._step: MixerStep | None = None
        self.layers: set[int] = set()
        self.are_even = True
        """False if tokens of a prompt are computed otherwise than single ones, as transformers does
        where a configuration limits the steps of time of Mamba 2."""
        for module in model.modules():
            if _keeps_states(module):
                self.layers.add(module.layer_idx)
                forward = forward_from_state(module)
                module.forward = partial(self._forward, module, forward)
                self.are_even &= tuple(getattr(module, "time_step_limit", _NO_LIMIT)) == _NO_LIMIT

    @contextmanager
    def computing(self, step: MixerStep) -> Iterator[None]:
        """Compute a step within the context; outside of it each prompt is computed alone."""
        self._step = step
        try:
            yield
        finally:
            self._step = None

    def _forward(  # the parameters are those of transformers' mixers
        self,
        module: Any,
        mixer: Callable[..., Any],
        hidden_states: Tensor,
        *arguments: Any,
        cache: Any = None,
        **options: Any,
    ) -> Any:
        if arguments:
            raise UnsupportedModelError("it hands arguments to its mixers by position")
        if self._step is None:
            return mixer(hidden_states, cache=cache, **options)
        others: list[Any] = []

        def mix(rows: Tensor, states: MixerCache, is_generated: bool) -> Tensor:
            nonlocal others
            with _without_limit(module) if is_generated and not self.are_even else nullcontext():
                output = mixer(rows, cache=states, **options)
            if isinstance(output, tuple):
                output, *others = output
            mixed: Tensor = output
            return mixed

        mixed = self._step.mix(module.layer_idx, mix, hidden_states)
        return (mixed, *others) if others else mixed


class StateRecorder:
    """Step that computes one prompt from its start and records the shapes of the states."""

    def __init__(self) -> None:
        self.shapes: dict[int, dict[StateName, StateShape]] = {}

    def mix(self, layer: int, mixer: Mixer, hidden_states: Tensor) -> Tensor:
        """Map packed tokens [1, tokens, size] to the same shape.

        Raises `UnsupportedModelError` for a mixer that uses or returns something else.
        """
        cache = MixerCache({}, is_fresh=True)
        try:
            output = mixer(hidden_states, cache, False)
        except (AttributeError, TypeError) as error:
            raise UnsupportedModelError(f"its mixers use a cache of their own: {error}") from error
        if output.shape != hidden_states.shape:
            raise UnsupportedModelError("its mixers return more than their layer's tokens")
        self.shapes.setdefault(layer, {}).update(
            (name, StateShape(tuple(state.shape[1:]), state.dtype))
            for name, state in cache.states.items()
        )
        return output


@dataclass(frozen=True, slots=True)
class _Part:
    """Consecutive tokens of one sequence, at `start:end` of the pack."""

    start: int
    end: int
    slot: int
    is_first: bool
    """True if the sequence begins with them."""
    is_generated: bool


class StateStep:
    """Mixers of one packed batch: the rows of each sequence, and the slot of its states."""

    def __init__(self, pool: StatePool, packed: Pack, device: torch.device) -> None:
        self._pool = pool
        num_begun = sum(row.num_keys > 1 for row in packed.rows[: packed.num_decodes])
        # A single row needs no copy of its states, and one that begins has none.
        num_joined = num_begun if num_begun > 1 else 0
        self._first = packed.num_decodes - num_begun
        joined = packed.rows[self._first : self._first + num_joined]
        self._joined_slots = _as_tensor([row.state_slot for row in joined], device)
        parts = list(_split_rows(packed.rows, is_even=pool.reuses_answers))
        self._before = [part for part in parts if part.end <= self._first]
        self._after = [part for part in parts if part.start >= self._first + num_joined]

    def mix(self, layer: int, mixer: Mixer, hidden_states: Tensor) -> Tensor:
        """Map packed tokens [1, tokens, size] to the same shape."""
        outputs = [self._mix_alone(layer, mixer, hidden_states, part) for part in self._before]
        if num_joined := len(self._joined_slots):
            rows = hidden_states[:, self._first : self._first + num_joined].transpose(0, 1)
            outputs.append(self._mix_joined(layer, mixer, rows).transpose(0, 1))
        outputs += [self._mix_alone(layer, mixer, hidden_states, part) for part in self._after]
        return torch.cat(outputs, dim=1)

    def _mix_joined(self, layer: int, mixer: Mixer, rows: Tensor) -> Tensor:
        cache = MixerCache(self._pool.gather(layer, self._joined_slots), is_fresh=False)
        output = mixer(rows, cache, True)
        self._pool.scatter(layer, self._joined_slots, cache.states)
        return output

    def _mix_alone(self, layer: int, mixer: Mixer, hidden_states: Tensor, part: _Part) -> Tensor:
        cache = MixerCache(self._pool.view(layer, part.slot), is_fresh=part.is_first)
        output = mixer(hidden_states[:, part.start : part.end], cache, part.is_generated)
        self._pool.write(layer, part.slot, cache.states)
        return output


def _split_rows(rows: list[Row], *, is_even: bool) -> Iterator[_Part]:
    """Yield the rows in order; where networks are not even, prompt and answer one by one."""
    start = 0
    for row in rows:
        assert row.state_slot is not None
        num_given = 0 if is_even else row.num_tokens - row.num_generated
        end, is_first = start + row.num_tokens, row.num_keys == row.num_tokens
        if num_given > 0:
            yield _Part(start, start + num_given, row.state_slot, is_first, False)
        if num_given < row.num_tokens:
            is_first = is_first and not num_given
            yield _Part(start + num_given, end, row.state_slot, is_first, bool(row.num_generated))
        start = end


@contextmanager
def _without_limit(module: Any) -> Iterator[None]:
    """Compute chunks within the context as single tokens are: with steps of time of any size."""
    limit, module.time_step_limit = module.time_step_limit, _NO_LIMIT
    try:
        yield
    finally:
        module.time_step_limit = limit


def _as_tensor(slots: list[int | None], device: torch.device) -> Tensor:
    return torch.tensor(slots, dtype=torch.long, device=device)


def _keeps_states(module: Any) -> bool:
    """Return True if the module's own code updates states of a layer."""
    code = getattr(inspect.unwrap(type(module).forward), "__code__", None)
    names = code.co_names if code is not None else ()
    return hasattr(module, "layer_idx") and not _CACHE_CALLS.isdisjoint(names)
