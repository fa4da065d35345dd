"""Root mean square norms (Zhang and Sennrich, 2019) in one kernel on GPUs.

transformers computes one in eight operators, each of which costs its launch, and a network has two
norms a layer.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import rms_norm

_ROUNDING = {torch.float32: 1e-5, torch.bfloat16: 1e-2}


def fuse_norms(model: nn.Module) -> None:
    """Put a `FusedNorm` in the place of every norm that it computes alike."""
    norms = [(name, each) for name, each in model.named_modules() if _looks_alike(each)]
    for name, norm in norms:
        fused = FusedNorm(norm)
        if _computes_alike(fused, norm):
            owner, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(owner), attribute, fused)


class FusedNorm(nn.Module):
    """Computes what transformers' `LlamaRMSNorm` and its likes do, up to rounding."""

    def __init__(self, norm: Any) -> None:
        super().__init__()
        self.weight: Tensor = norm.weight.detach()
        self._epsilon = float(norm.variance_epsilon)

    def forward(self, activations: Tensor) -> Tensor:
        """Map [..., size] to the same shape."""
        return rms_norm(activations, self.weight.shape, self.weight, self._epsilon)


def _looks_alike(norm: nn.Module) -> bool:
    weight = getattr(norm, "weight", None)
    return (
        type(norm).__name__.endswith("RMSNorm")
        and isinstance(getattr(norm, "variance_epsilon", None), float)
        and isinstance(weight, Tensor)
        and weight.dtype in _ROUNDING
    )


@torch.inference_mode()
def _computes_alike(fused: nn.Module, norm: nn.Module) -> bool:
    """Some have weights that lie around 0, or take their mean over groups."""
    weight: Any = norm.weight
    angles = torch.arange(3 * len(weight)).view(3, -1)
    rows = (angles.sin() * torch.tensor([1e-3, 1.0, 1e3])[:, None]).to(weight)
    tolerance = _ROUNDING[weight.dtype]
    return torch.allclose(fused(rows), norm(rows), rtol=tolerance, atol=tolerance)
