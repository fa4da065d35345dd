from collections.abc import Iterator

import pytest
import torch
from torch import nn
from transformers.models.gemma.modeling_gemma import GemmaRMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm

from worker.engine.transformers.torch_forward.fused_norm import FusedNorm, fuse_norms

SIZE = 72
TYPES = {torch.float32: 1e-6, torch.bfloat16: 1e-2}


@pytest.fixture(autouse=True)
def _inference() -> Iterator[None]:
    torch.manual_seed(0)
    with torch.inference_mode():
        yield


def norm_of(kind: type[nn.Module], dtype: torch.dtype = torch.float32) -> nn.Module:
    norm = kind(SIZE, eps=1e-5)
    nn.init.normal_(norm.weight)  # type: ignore[arg-type]
    return norm.to(dtype)


def fuse(norm: nn.Module) -> nn.Module:
    model = nn.Sequential(norm)
    fuse_norms(model)
    return model[0]


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("kind", [LlamaRMSNorm, Qwen3RMSNorm])
@pytest.mark.parametrize("shape", [(SIZE,), (0, SIZE), (1, 1, SIZE), (2, 30, SIZE)], ids=str)
def test_it_computes_what_the_norm_did(
    kind: type[nn.Module], shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    norm = norm_of(kind, dtype)
    rows = (torch.randn(shape) * 30).to(dtype)
    expected = norm(rows)

    replaced = fuse(norm)

    assert type(replaced) is FusedNorm
    output = replaced(rows)
    assert output.dtype == dtype
    torch.testing.assert_close(output, expected, rtol=TYPES[dtype], atol=TYPES[dtype])


def test_rows_that_do_not_lie_together_are_taken_as_they_are() -> None:
    norm = norm_of(LlamaRMSNorm)
    rows = torch.randn(4, 2 * SIZE)[:, ::2]

    torch.testing.assert_close(fuse(norm)(rows), norm(rows))


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_in_its_row_and_is_not_hidden(
    poison: float, dtype: torch.dtype
) -> None:
    norm = norm_of(LlamaRMSNorm, dtype)
    rows = torch.randn(3, SIZE).to(dtype)
    rows[1, 5] = poison

    output = fuse(norm)(rows)

    assert output[1].isnan().any()
    assert output[[0, 2]].isfinite().all()


class OverGroupsRMSNorm(LlamaRMSNorm):
    """Norm with the same parameters and a different computation."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Normalise each half on its own."""
        halves = torch.unflatten(hidden_states, -1, (2, -1))
        return self.weight * nn.functional.rms_norm(halves, (SIZE // 2,)).flatten(-2)


@pytest.mark.parametrize(
    "norm",
    [
        pytest.param(norm_of(GemmaRMSNorm), id="its weights lie around 0"),
        pytest.param(norm_of(OverGroupsRMSNorm), id="over groups"),
        pytest.param(norm_of(LlamaRMSNorm, torch.float64), id="float64"),
        pytest.param(nn.LayerNorm(SIZE), id="LayerNorm"),
    ],
)
def test_what_computes_something_else_stays(norm: nn.Module) -> None:
    assert fuse(norm) is norm
