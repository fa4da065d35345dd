from collections.abc import Iterator

import pytest
import torch
from torch import nn

from worker.engine.packed_linear import PackedLinear, pack_linear_layers

INPUTS, OUTPUTS = 48, 100
TYPES = [torch.float32, torch.bfloat16]


class Network(nn.Module):
    """Its output layer shares the weights of its embeddings."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(OUTPUTS, INPUTS, dtype=dtype)
        self.inner = nn.ModuleList([nn.Linear(INPUTS, INPUTS, dtype=dtype)])
        self.head = nn.Linear(INPUTS, OUTPUTS, bias=False, dtype=dtype)
        self.head.weight = self.embeddings.weight


@pytest.fixture(autouse=True)
def _inference() -> Iterator[None]:
    torch.manual_seed(0)
    with torch.inference_mode():
        yield


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    "shape",
    [
        (INPUTS,),
        (0, INPUTS),
        (1, INPUTS),
        (1, 3, INPUTS),
        (2, 2, INPUTS),
        (40, INPUTS),
        (600, INPUTS),
    ],
)
def test_it_computes_what_a_plain_layer_does(
    shape: tuple[int, ...], bias: bool, dtype: torch.dtype
) -> None:
    layer = nn.Linear(INPUTS, OUTPUTS, bias=bias, dtype=dtype)
    rows = torch.randn(shape, dtype=dtype)

    output = PackedLinear(layer)(rows)

    assert output.dtype == dtype
    exact = nn.functional.linear(rows.double(), layer.weight.double())
    exact += layer.bias.double() if bias else 0.0
    assert output.shape == exact.shape
    torch.testing.assert_close(output, exact.to(dtype))


def test_rows_that_do_not_lie_together_are_taken_as_they_are() -> None:
    layer = nn.Linear(INPUTS, OUTPUTS)
    rows = torch.randn(5, 2 * INPUTS)[:, ::2]

    torch.testing.assert_close(PackedLinear(layer)(rows), layer(rows))


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_every_linear_layer_is_replaced_and_shared_weights_stay_where_they_were(
    dtype: torch.dtype,
) -> None:
    model = Network(dtype)
    embedded = model.embeddings.weight.clone()

    pack_linear_layers(model)

    assert isinstance(model.inner[0], PackedLinear)
    assert isinstance(model.head, PackedLinear)
    assert model.embeddings.weight.equal(embedded)


def test_the_weights_are_kept_once() -> None:
    model = Network(torch.float32)

    pack_linear_layers(model)

    assert [name for name, _ in model.named_parameters()] == ["embeddings.weight"]


@pytest.mark.parametrize("model", [Network(torch.float64), Network(torch.float32).to("meta")])
def test_layers_that_cannot_be_packed_stay(model: Network) -> None:
    pack_linear_layers(model)

    assert type(model.head) is nn.Linear


def test_a_torch_without_onednn_keeps_its_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    model = Network(torch.float32)

    pack_linear_layers(model)

    assert type(model.head) is nn.Linear
