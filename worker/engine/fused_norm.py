"""Root mean square norms (Zhang and Sennrich, 2019) in one piece.

transformers computes one in eight operators; for the few rows of a decoding step each costs its
call, or its launch, and a network has two norms a layer. torch's own operator is one kernel on a
GPU; on a CPU it is five operators, so there a loop compiled by Numba takes its place.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import rms_norm

from worker.engine.compiled import BITS, compile_loop, reading, share, writing

_NUMBERS_PER_THREAD = 1 << 17
"""Numbers that are worth a thread: some tenth of a millisecond."""

_ROUNDING = {torch.float32: 1e-5, torch.bfloat16: 1e-2}


def fuse_norms(model: nn.Module) -> None:
    """Put a `LoopNorm`, on a GPU an `OperatorNorm`, in the place of every norm that it computes
    alike."""
    norms = [(name, each) for name, each in model.named_modules() if _looks_alike(each)]
    for name, norm in norms:
        weight: Any = norm.weight
        fused = LoopNorm(norm) if weight.device.type == "cpu" else OperatorNorm(norm)
        if _computes_alike(fused, norm):
            owner, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(owner), attribute, fused)


class OperatorNorm(nn.Module):
    """Computes what transformers' `LlamaRMSNorm` and its likes do, up to rounding."""

    def __init__(self, norm: Any) -> None:
        super().__init__()
        self._weight: Tensor = norm.weight.detach()
        self._epsilon = float(norm.variance_epsilon)

    def forward(self, activations: Tensor) -> Tensor:
        """Map [..., size] to the same shape."""
        return rms_norm(activations, self._weight.shape, self._weight, self._epsilon)


class LoopNorm(nn.Module):
    """The same on a CPU, up to the order of a sum."""

    def __init__(self, norm: Any) -> None:
        super().__init__()
        weight: Tensor = norm.weight
        self._bits = BITS[weight.dtype]
        self._weight = weight.detach().view(self._bits).numpy()
        self._epsilon = np.float32(norm.variance_epsilon)
        self._normalize = _norm_kernel(self._bits is torch.uint16)

    def forward(self, activations: Tensor) -> Tensor:
        """Map [..., size] to the same shape."""
        rows = activations.reshape(-1, activations.shape[-1]).contiguous()
        output = torch.empty_like(rows)
        numbers = rows.view(self._bits).numpy(), output.view(self._bits).numpy()
        work = partial(self._normalize, *numbers, self._weight, self._epsilon)
        share(work, rows.numel() // _NUMBERS_PER_THREAD)
        return output.view(activations.shape)


def _looks_alike(norm: nn.Module) -> bool:
    weight = getattr(norm, "weight", None)
    return (
        type(norm).__name__.endswith("RMSNorm")
        and isinstance(getattr(norm, "variance_epsilon", None), float)
        and isinstance(weight, Tensor)
        and weight.device.type in ("cpu", "cuda")
        and weight.dtype in BITS
    )


@torch.inference_mode()
def _computes_alike(fused: nn.Module, norm: nn.Module) -> bool:
    """Some have weights that lie around 0, or take their mean over groups."""
    weight: Any = norm.weight
    angles = torch.arange(3 * len(weight)).view(3, -1)
    rows = (angles.sin() * torch.tensor([1e-3, 1.0, 1e3])[:, None]).to(weight)
    tolerance = _ROUNDING[weight.dtype]
    return torch.allclose(fused(rows), norm(rows), rtol=tolerance, atol=tolerance)


@cache
def _norm_kernel(is_short: bool) -> Callable[..., None]:
    """Compile the loop; it takes every `step`-th row from the `first` on."""
    read, write = reading(is_short), writing(is_short)

    @compile_loop
    def normalize(rows: Any, output: Any, weight: Any, epsilon: Any, first: int, step: int) -> None:
        size = rows.shape[1]
        bits, weight_bits = np.empty(size, np.uint32), np.empty(size, np.uint32)
        values, weights = bits.view(np.float32), weight_bits.view(np.float32)
        read(weight, weight_bits)
        for row in range(first, len(rows), step):
            read(rows[row], bits)
            squares = np.float32(0.0)
            for n in range(size):
                squares += values[n] * values[n]
            scale = np.float32(1.0) / np.sqrt(squares / np.float32(size) + epsilon)
            for n in range(size):
                values[n] *= scale
            # Rounded before and after the weights, as transformers does.
            write(bits, output[row])
            read(output[row], bits)
            for n in range(size):
                values[n] *= weights[n]
            write(bits, output[row])

    return normalize
