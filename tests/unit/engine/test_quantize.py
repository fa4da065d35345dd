from typing import Any

import pytest
import torch
from torch import nn

from tests.unit.engine.conftest import EngineFactory
from tests.unit.engine.harness import greedy
from worker.engine import UnsupportedModelError
from worker.engine.quantize import quantize_linear_layers
from worker.engine.support import PlainAttention, _logits_alone

SHAPES = {"small": (48, 32), "large": (1024, 512)}


def layer_of(shape: tuple[int, int], *, bias: bool) -> nn.Linear:
    torch.manual_seed(0)
    outputs, inputs = shape
    return nn.Linear(inputs, outputs, bias=bias)


def quantized(layer: nn.Linear) -> nn.Module:
    model = nn.Sequential(layer)
    quantize_linear_layers(model)
    return model


def rounded(weight: torch.Tensor) -> torch.Tensor:
    """The weights as one byte and a scale for each output leave them."""
    scales = weight.abs().amax(1, keepdim=True) / 127
    return (weight / scales).round() * scales


@torch.inference_mode()
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("num_rows", [3, 50])
@pytest.mark.parametrize(("shape", "tolerance"), [("small", 1e-2), ("large", 5e-4)])
def test_only_the_weights_are_rounded(
    shape: str, tolerance: float, num_rows: int, bias: bool
) -> None:
    layer = layer_of(SHAPES[shape], bias=bias)
    rows = torch.randn(2, num_rows, layer.in_features)
    rows[0, 0] *= 1000  # rows do not share a scale
    expected = nn.functional.linear(rows, rounded(layer.weight), layer.bias)

    output = quantized(layer)(rows)

    assert output.shape == expected.shape
    difference = (output - expected).norm(dim=-1) / expected.norm(dim=-1)
    assert difference.max() < tolerance


@torch.inference_mode()
@pytest.mark.parametrize("shape", SHAPES)
def test_a_row_of_zeros_stays_what_the_bias_makes_it(shape: str) -> None:
    layer = layer_of(SHAPES[shape], bias=True)

    output = quantized(layer)(torch.zeros(1, layer.in_features))

    assert torch.equal(output[0], layer.bias)


@torch.inference_mode()
@pytest.mark.parametrize("shape", SHAPES)
def test_no_rows_give_none(shape: str) -> None:
    """A step that only computes parts of prompts asks the output layer for nothing."""
    outputs, inputs = SHAPES[shape]

    assert quantized(layer_of(SHAPES[shape], bias=False))(torch.zeros(0, inputs)).shape == (
        0,
        outputs,
    )


@torch.inference_mode()
@pytest.mark.parametrize("shape", SHAPES)
def test_a_row_comes_out_the_same_in_any_batch_of_answers(shape: str) -> None:
    model = quantized(layer_of(SHAPES[shape], bias=False))
    rows = torch.randn(9, SHAPES[shape][1]) * torch.logspace(-3, 3, 9)[:, None]

    together, alone = model(rows), torch.cat([model(row[None]) for row in rows])

    assert torch.equal(together, alone)


def test_a_network_without_linear_layers_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="linear"):
        quantize_linear_layers(nn.Sequential(nn.ReLU()))


def test_an_engine_in_int8_scores_tokens_nearly_as_in_full(make_engine: EngineFactory) -> None:
    def logits(**settings: Any) -> torch.Tensor:
        engine: Any = make_engine(**settings).engine
        model = engine._runner._model
        return torch.stack([_scores(model, [n, n + 1, n + 2]) for n in range(20)])

    full, int8 = logits(), logits(quantization="int8")

    assert torch.corrcoef(torch.stack([full.flatten(), int8.flatten()]))[0, 1] > 0.999


def test_int8_gives_a_prompt_the_same_alone_and_in_a_batch(
    make_engine: EngineFactory, prompts: list[list[int]]
) -> None:
    harness = make_engine(quantization="int8")
    [alone] = harness.run(greedy("alone", prompts[0]))

    together = harness.run(*(greedy(str(i), p) for i, p in enumerate(prompts)))

    assert together[0] == alone


@torch.inference_mode()
def _scores(model: Any, tokens: list[int]) -> torch.Tensor:
    scores: torch.Tensor = _logits_alone(model, tokens, PlainAttention())
    return scores
