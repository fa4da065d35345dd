"""Layers that keep a state per sequence, computed in packed steps.

The network's own mixers compute, whatever their kind: they get the rows of a step with the states
of their sequences, single tokens in one batch and longer chunks one by one.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import accumulate
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

Mixer = Callable[[Tensor, MixerCache], Tensor]
"""A layer's mixer: it maps [rows, tokens, size] and the states of the rows to the same shape."""


class MixerStep(Protocol):
    """Computation of the mixers in one step."""

    def mix(self, layer: int, mixer: Mixer, hidden_states: Tensor) -> Tensor:
        """Map packed tokens [1, tokens, size] to the same shape."""


class Mixers:
    """Mixers of a network, replaced by ones that compute the step that is set."""

    def __init__(self, model: Any) -> None:
        self._step: MixerStep | None = None
        self.layers: set[int] = set()
        for module in model.modules():
            if _keeps_states(module):
                self.layers.add(module.layer_idx)
                forward = forward_from_state(module)
                module.forward = partial(self._forward, module.layer_idx, forward)

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
        layer: int,
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

        def mix(rows: Tensor, states: MixerCache) -> Tensor:
            nonlocal others
            output = mixer(rows, cache=states, **options)
            if isinstance(output, tuple):
                output, *others = output
            mixed: Tensor = output
            return mixed

        mixed = self._step.mix(layer, mix, hidden_states)
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
            output = mixer(hidden_states, cache)
        except (AttributeError, TypeError) as error:
            raise UnsupportedModelError(f"its mixers use a cache of their own: {error}") from error
        if output.shape != hidden_states.shape:
            raise UnsupportedModelError("its mixers return more than their layer's tokens")
        self.shapes.setdefault(layer, {}).update(
            (name, StateShape(tuple(state.shape[1:]), state.dtype))
            for name, state in cache.states.items()
        )
        return output


class StateStep:
    """Mixers of one packed batch: the rows of each sequence, and the slot of its states."""

    def __init__(self, pool: StatePool, packed: Pack, device: torch.device) -> None:
        self._pool = pool
        # A single row needs no copy of its states.
        num_joined = packed.num_decodes if packed.num_decodes > 1 else 0
        joined = packed.rows[:num_joined]
        self._joined_slots = _as_tensor([row.state_slot for row in joined], device)
        ends = accumulate(row.num_tokens for row in packed.rows)
        self._others = list(zip(packed.rows, ends, strict=True))[num_joined:]
        if begins := [row.state_slot for row in joined if row.num_keys == 1]:
            pool.clear(_as_tensor(begins, device))

    def mix(self, layer: int, mixer: Mixer, hidden_states: Tensor) -> Tensor:
        """Map packed tokens [1, tokens, size] to the same shape."""
        outputs = []
        if num_joined := len(self._joined_slots):
            rows = hidden_states[:, :num_joined].transpose(0, 1)
            outputs.append(self._mix_joined(layer, mixer, rows).transpose(0, 1))
        for row, end in self._others:
            tokens = hidden_states[:, end - row.num_tokens : end]
            outputs.append(self._mix_alone(layer, mixer, tokens, row))
        return torch.cat(outputs, dim=1)

    def _mix_joined(self, layer: int, mixer: Mixer, rows: Tensor) -> Tensor:
        cache = MixerCache(self._pool.gather(layer, self._joined_slots), is_fresh=False)
        output = mixer(rows, cache)
        self._pool.scatter(layer, self._joined_slots, cache.states)
        return output

    def _mix_alone(self, layer: int, mixer: Mixer, tokens: Tensor, row: Row) -> Tensor:
        assert row.state_slot is not None
        is_first = row.num_keys == row.num_tokens
        cache = MixerCache(self._pool.view(layer, row.state_slot), is_fresh=is_first)
        output = mixer(tokens, cache)
        self._pool.write(layer, row.state_slot, cache.states)
        return output


def _as_tensor(slots: list[int | None], device: torch.device) -> Tensor:
    return torch.tensor(slots, dtype=torch.long, device=device)


def _keeps_states(module: Any) -> bool:
    """Return True if the module's own code updates states of a layer."""
    code = getattr(inspect.unwrap(type(module).forward), "__code__", None)
    names = code.co_names if code is not None else ()
    return hasattr(module, "layer_idx") and not _CACHE_CALLS.isdisjoint(names)
