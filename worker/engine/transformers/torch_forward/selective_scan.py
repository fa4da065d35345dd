"""Mamba's selective scan (Gu and Dao, 2023) from a given state.

The scan of transformers starts every call with zeros, so that a prompt could not be computed in
chunks. Mixers that use it get one that goes on from their state. Mamba 2 has another scan, which
takes a state.
"""

import inspect
from collections.abc import Callable, Iterator
from types import FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import silu, softplus

_SCAN = "mamba_selective_scan"
"""Name of the scan in the modules of transformers."""


def forward_from_state(mixer: Any) -> Callable[..., Any]:
    """Return the forward of a mixer, its scan replaced by one that goes on from its cache's state.

    Returns the mixer's own if it has no such scan.
    """
    function: Any = inspect.unwrap(type(mixer).forward)
    if _SCAN not in function.__code__.co_names:
        own: Callable[..., Any] = mixer.forward
        return own
    scan = SelectiveScan(function.__globals__[_SCAN])
    scope = {**function.__globals__, _SCAN: scan}
    defaults = function.__defaults__
    copied = FunctionType(
        function.__code__, scope, function.__name__, defaults, function.__closure__
    )
    bound = MethodType(copied, mixer)

    def forward(hidden_states: Tensor, cache: Any = None, **options: Any) -> Any:
        scan.start_from(cache.get_recurrent_state(mixer.layer_idx) if cache is not None else None)
        return bound(hidden_states, cache=cache, **options)

    return forward


class SelectiveScan:
    """Scan with the parameters of transformers' scan, from a state that is set before."""

    def __init__(self, from_zeros: Callable[..., Any]) -> None:
        self._from_zeros = from_zeros
        self._states: Iterator[Tensor] = iter(())

    def start_from(self, state: Tensor | None) -> None:
        """Set the state of the next call, or of several calls for a state [rows, heads, ...]."""
        heads = () if state is None else (state,) if state.ndim == 3 else state.unbind(1)
        self._states = iter(heads)

    def __call__(
        self,
        inputs: Tensor,
        steps: Tensor,
        A: Tensor,  # noqa: N803
        B: Tensor,  # noqa: N803
        C: Tensor,  # noqa: N803
        *,
        z: Tensor | None = None,
        **options: Any,
    ) -> Any:
        """Map inputs [rows, channels, tokens] to the same shape; return the last state as well."""
        state = next(self._states, None)
        if state is None:
            return self._from_zeros(inputs, steps, A, B, C, z=z, **options)
        output, last = self._from_zeros(inputs, steps, A, B, C, **options)
        if (bias := options.get("delta_bias")) is not None:
            steps = steps + bias[:, None]
        if options.get("delta_softplus"):
            steps = softplus(steps)
        # The scan is linear in the state: what the first one adds only decays.
        decay = torch.exp(A[:, None] * steps.cumsum(2)[..., None])
        carried = decay * state[:, :, None]
        output = output + torch.einsum("rcts,rst->rct", carried, C.to(carried.dtype)).to(
            output.dtype
        )
        if z is not None:
            output = output * silu(z)
        return output, last + carried[:, :, -1]
