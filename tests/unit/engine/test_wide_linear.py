import pytest
import torch
from torch import nn

from worker.engine.wide_linear import WideLinear, split_output_layer

WIDE = 8192 + 100


class Network(nn.Module):
    """Its output layer shares the weights of its embeddings."""

    def __init__(self, num_outputs: int, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(num_outputs, 16, dtype=dtype)
        self.head = nn.Linear(16, num_outputs, bias=False, dtype=dtype)
        self.head.weight = self.embeddings.weight

    def get_output_embeddings(self) -> nn.Module:
        return self.head


@torch.inference_mode()
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(16,), (0, 16), (1, 16), (1, 3, 16), (40, 16)])
def test_parts_make_the_same_scores(shape: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(16, WIDE, bias=bias)
    rows = torch.randn(shape)

    torch.testing.assert_close(WideLinear(layer)(rows), layer(rows))


def test_the_weights_of_the_output_layer_are_kept_once() -> None:
    model = Network(WIDE)

    split_output_layer(model)

    assert isinstance(model.head, WideLinear)
    assert model.head.weight is model.embeddings.weight


@pytest.mark.parametrize(
    "model", [Network(1000), Network(WIDE, torch.bfloat16)], ids=["narrow", "short type"]
)
def test_layers_that_gain_nothing_stay(model: Network) -> None:
    split_output_layer(model)

    assert type(model.head) is nn.Linear
