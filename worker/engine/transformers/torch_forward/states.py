"""States of sequences, which mixers such as linear attention and Mamba keep between tokens.

A mixer of transformers reads and writes them through the cache object that it is given. Here that
is a `MixerCache` with the states of some rows, read from a pool that holds them for all sequences.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad


class StateName(NamedTuple):
    """Name of a state within its layer."""

    is_convolution: bool
    """True for the last inputs of a convolution, False for a recurrent state."""
    number: int


States = dict[StateName, Tensor]
"""States of a layer for some sequences, [sequences, ...] each."""


@dataclass(frozen=True, slots=True)
class StateShape:
    """Shape and type of a state of one sequence."""

    sizes: tuple[int, ...]
    dtype: torch.dtype

    @property
    def num_bytes(self) -> int:
        """Size of the state in memory."""
        return torch.Size(self.sizes).numel() * self.dtype.itemsize


LayerStates = Mapping[int, Mapping[StateName, StateShape]]
"""Shapes of the states by the number of their layer."""


class MixerCache:
    """Cache of one call of a mixer, with the methods of transformers' caches that mixers use."""

    def __init__(self, states: States, *, is_fresh: bool) -> None:
        """Wrap the states of the rows of a call; if `is_fresh`, they are not read."""
        self.states = states
        self._is_fresh = is_fresh

    def get_conv_state(self, layer_idx: int, state_idx: int = 0) -> Tensor | None:
        """Return the last inputs of a convolution, which the mixer may change, or None."""
        return self._read(StateName(True, state_idx))

    def get_recurrent_state(self, layer_idx: int, state_idx: int = 0) -> Tensor | None:
        """Return a recurrent state, which the mixer may change, or None."""
        return self._read(StateName(False, state_idx))

    def update_conv_state(
        self,
        inputs: Tensor,
        layer_idx: int,
        state_idx: int = 0,
        conv_kernel_size: int | None = None,
        **_: Any,
    ) -> Tensor:
        """Append the inputs of a convolution; return all that it needs, [rows, channels, tokens].

        Only the last ones are kept, as many as the kernel is wide, with zeros before the first.
        """
        name = StateName(True, state_idx)
        width = conv_kernel_size or inputs.shape[-1]
        previous = self._read(name)
        if previous is not None:
            inputs = torch.cat([previous, inputs], dim=-1)
        elif inputs.shape[-1] < width:
            inputs = pad(inputs, (width - inputs.shape[-1], 0))
        self.states[name] = inputs[..., -width:]
        return inputs

    def update_recurrent_state(
        self, state: Tensor, layer_idx: int, state_idx: int = 0, **_: Any
    ) -> Tensor:
        """Replace a recurrent state."""
        self.states[StateName(False, state_idx)] = state
        return state

    def has_previous_state(self, layer_idx: int = 0, state_idx: int | None = None) -> bool:
        """Return True if tokens precede those of the call."""
        return not self._is_fresh

    def is_recording_past(self, layer_idx: int) -> bool:
        """Return False: no token is ever taken back."""
        return False

    def get_linear_cache(self, layer_idx: int) -> Tensor | None:
        """Return the recurrent state; MiniMax calls it so."""
        return self.get_recurrent_state(layer_idx)

    def set_linear_cache(self, layer_idx: int, state: Tensor) -> None:
        """Replace the recurrent state; MiniMax calls it so."""
        self.update_recurrent_state(state, layer_idx)

    def _read(self, name: StateName) -> Tensor | None:
        return None if self._is_fresh else self.states[name]


class StatePool:
    """States of all sequences: for each layer and name a tensor [slots, ...]."""

    def __init__(
        self,
        shapes: LayerStates,
        num_slots: int,
        device: torch.device,
        *,
        reuses_answers: bool = True,
    ) -> None:
        """Allocate the slots; see `StateSlots` for the attributes."""
        self.num_slots = num_slots
        self.reuses_answers = reuses_answers
        self.slot_bytes = state_bytes(shapes)
        """Bytes of the states of one sequence."""
        self._layers = {
            layer: {
                # Not cleared, as no slot is read before it is written.
                name: torch.empty(num_slots, *shape.sizes, dtype=shape.dtype, device=device)
                for name, shape in states.items()
            }
            for layer, states in shapes.items()
        }

    def copy(self, source: int, target: int) -> None:
        """Copy the states in one slot to another."""
        for states in self._layers.values():
            for state in states.values():
                state[target].copy_(state[source])

    def gather(self, layer: int, slots: Tensor) -> States:
        """Return copies of a layer's states in some slots."""
        return {name: state.index_select(0, slots) for name, state in self._layers[layer].items()}

    def scatter(self, layer: int, slots: Tensor, states: States) -> None:
        """Write a layer's states to some slots."""
        for name, state in self._layers[layer].items():
            state.index_copy_(0, slots, states[name].to(state.dtype))

    def view(self, layer: int, slot: int) -> States:
        """Return a layer's states in one slot, not copied."""
        return {name: state[slot : slot + 1] for name, state in self._layers[layer].items()}

    def write(self, layer: int, slot: int, states: States) -> None:
        """Write a layer's states to one slot; those that are still its view stay as they are."""
        for name, state in self._layers[layer].items():
            target = state[slot : slot + 1]
            if states[name].data_ptr() != target.data_ptr():
                target.copy_(states[name])


def state_bytes(shapes: LayerStates) -> int:
    """Return the bytes of all states of one sequence."""
    return sum(shape.num_bytes for states in shapes.values() for shape in states.values())
