"""Root mean square norms (Zhang and Sennrich, 2019) in one kernel on GPUs.

transformers computes a norm in eight operators, each of which costs a kernel launch, and a network
has two norms per layer.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import rms_norm

_ROUNDING = {torch.float32: 1e-5, torch.bfloat16: 1e-2}


def fuse_norms(model: nn.Module) -> None:
    """Replace every norm that a `FusedNorm` reproduces."""
    norms = [(name, module) for name, module in model.named_modules() if _is_candidate(module)]
    for name, norm in norms:
        fused = FusedNorm(norm)
        if _is_equivalent(fused, norm):
            owner, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(owner), attribute, fused)


class FusedNorm(nn.Module):
    """Fused equivalent, up to rounding, of transformers' `LlamaRMSNorm` and similar norms."""

    def __init__(self, norm: Any) -> None:
        super().__init__()
        self.weight: Tensor = norm.weight.detach()
        self._epsilon = float(norm.variance_epsilon)

    def forward(self, activations: Tensor) -> Tensor:
        """Map [..., size] to the same shape."""
        return rms_norm(activations, self.weight.shape, self.weight, self._epsilon)


def _is_candidate(norm: nn.Module) -> bool:
    weight = getattr(norm, "weight", None)
    return (
        type(norm).__name__.endswith("RMSNorm")
        and isinstance(getattr(norm, "variance_epsilon", None), float)
        and isinstance(weight, Tensor)
        and weight.dtype in _ROUNDING
    )


@torch.inference_mode()
def _is_equivalent(fused: nn.Module, norm: nn.Module) -> bool:
    """Return True if both give the same results on a sample.

    Some norms of a similar class have weights centred on 0, or take the mean over groups.
    """
    weight: Any = norm.weight
    angles = torch.arange(3 * len(weight)).view(3, -1)
    rows = (angles.sin() * torch.tensor([1e-3, 1.0, 1e3])[:, None]).to(weight)
    tolerance = _ROUNDING[weight.dtype]
    return torch.allclose(fused(rows), norm(rows), rtol=tolerance, atol=tolerance)
