from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.unit.worker.engine.conftest import VOCAB_SIZE, EngineFactory
from tests.unit.worker.engine.harness import Harness, greedy
from worker.engine.interface import UnsupportedModelError
from worker.engine.transformers.model.forward_check import check_prompts, computed_logits, deviation
from worker.engine.transformers.torch_forward.quantize import Int8Linear, quantize_linear_layers

# The large layer is processed in several chunks.
SHAPES = {"small": (48, 33), "large": (600, 5000)}
MANY = 9
TYPES = {torch.float32: 4e-4, torch.bfloat16: 6e-3}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def layer_of(shape: str, dtype: torch.dtype = torch.float32, *, bias: bool = False) -> nn.Linear:
    outputs, inputs = SHAPES[shape]
    return nn.Linear(inputs, outputs, bias=bias, dtype=dtype)


def rows_of(shape: str, *size: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*size, SHAPES[shape][1]).to(dtype)


def round_weights(weight: torch.Tensor) -> torch.Tensor:
    """Return the weights rounded to one byte with a scale per output."""
    scales = (weight.float().abs().amax(1, keepdim=True) / 127).to(weight.dtype).float()
    return (weight.float() / scales).round().clamp(-127, 127) * scales


@torch.inference_mode()
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("size", [(1,), (1, MANY), (2, 3)], ids=str)
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_only_the_weights_are_rounded(
    shape: str, size: tuple[int, ...], bias: bool, dtype: torch.dtype
) -> None:
    layer = layer_of(shape, dtype, bias=bias)
    rows = rows_of(shape, *size, dtype=dtype)
    rows[0] *= 1000  # rows do not share a scale
    exact = rows.double() @ round_weights(layer.weight).double().t()
    exact += layer.bias.double() if bias else 0.0

    output = Int8Linear(layer)(rows)

    assert output.dtype == dtype
    assert output.shape == exact.shape
    difference = (output - exact).norm(dim=-1) / exact.norm(dim=-1)
    assert difference.max() < TYPES[dtype]


@torch.inference_mode()
@pytest.mark.parametrize("num_rows", [1, MANY])
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_the_largest_sum_there_can_be_does_not_overflow(num_rows: int, dtype: torch.dtype) -> None:
    layer = layer_of("large", dtype)
    layer.weight[:] = 1.0
    rows = torch.full((num_rows, layer.in_features), -3.0, dtype=dtype)

    output = Int8Linear(layer)(rows)

    torch.testing.assert_close(output, torch.full_like(output, -3.0 * layer.in_features))


@torch.inference_mode()
@pytest.mark.parametrize("num_rows", [1, MANY])
def test_a_row_of_zeros_stays_what_the_bias_makes_it(num_rows: int) -> None:
    layer = layer_of("small", bias=True)

    output = Int8Linear(layer)(torch.zeros(num_rows, layer.in_features))

    assert output.equal(layer.bias.expand_as(output))


@torch.inference_mode()
@pytest.mark.parametrize("num_rows", [1, MANY])
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_an_output_whose_weights_are_all_zero_is_zero(num_rows: int, dtype: torch.dtype) -> None:
    layer = layer_of("small", dtype)
    layer.weight[3] = 0.0

    output = Int8Linear(layer)(rows_of("small", num_rows, dtype=dtype))

    assert output[:, 3].eq(0).all()
    assert output[:, 4].ne(0).all()


@torch.inference_mode()
@pytest.mark.parametrize("poison", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_what_is_not_finite_stays_in_its_row_and_is_not_hidden(
    poison: float, dtype: torch.dtype
) -> None:
    layer, rows = Int8Linear(layer_of("small", dtype)), rows_of("small", 3, dtype=dtype)
    clean = layer(rows)
    rows[1, 7] = poison

    output = layer(rows)

    assert not output[1].isfinite().any()
    assert output[[0, 2]].equal(clean[[0, 2]])


@torch.inference_mode()
def test_no_rows_give_none() -> None:
    """Pass no rows, as in a step that prefills parts of prompts and needs no logits."""
    layer = layer_of("small")

    assert Int8Linear(layer)(rows_of("small", 1, 0)).shape == (1, 0, layer.out_features)


@torch.inference_mode()
def test_rows_that_do_not_lie_together_are_taken_as_they_are() -> None:
    layer = Int8Linear(layer_of("small"))
    rows = torch.randn(5, 2 * SHAPES["small"][1])[:, ::2]

    assert layer(rows).equal(layer(rows.contiguous()))


@torch.inference_mode()
@pytest.mark.parametrize("num_rows", [1, MANY])
def test_other_devices_and_types_expand_the_weights(num_rows: int) -> None:
    there = Int8Linear(layer_of("small", bias=True).to("meta"))
    half = layer_of("small", torch.float16)
    rows = rows_of("small", 1, num_rows)

    assert there(rows.to("meta")).shape == (1, num_rows, half.out_features)
    expected = rows @ round_weights(half.weight).t()
    torch.testing.assert_close(Int8Linear(half)(rows.half()).float(), expected, rtol=0, atol=1e-2)


def test_every_linear_layer_is_replaced_and_embeddings_stay() -> None:
    embedding = nn.Embedding(48, 33)
    model = nn.ModuleDict({"in": embedding, "out": layer_of("small")})
    model["out"].weight = embedding.weight
    embedded = embedding.weight.clone()

    quantize_linear_layers(model)

    assert type(model["out"]) is Int8Linear
    assert model["in"] is embedding
    assert embedding.weight.equal(embedded)


def test_a_network_without_linear_layers_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="linear"):
        quantize_linear_layers(nn.Sequential(nn.ReLU()))


def test_an_engine_in_int8_scores_tokens_nearly_as_in_full(make_engine: EngineFactory) -> None:
    full, int8 = (scores(make_engine(dtype=dtype)) for dtype in ("float32", "int8"))

    assert 0 < deviation(full, int8).divergence < 0.02
    assert deviation(full, int8).correlation > 0.98


@pytest.mark.parametrize("forward", ["torch"])
def test_int8_gives_a_prompt_the_same_alone_and_in_a_batch(
    make_engine: EngineFactory, prompts: list[list[int]]
) -> None:
    harness = make_engine(dtype="int8")
    [alone] = harness.run(greedy("alone", prompts[0]))

    together = harness.run(*(greedy(str(i), p) for i, p in enumerate(prompts)))

    assert together[0] == alone


def scores(harness: Harness) -> np.ndarray:
    """Return the logits of an idle engine for a few prompts, [positions, vocab]."""
    runner: Any = harness.engine._runner  # type: ignore[attr-defined]
    return computed_logits(runner._compute, runner.block_size, check_prompts(VOCAB_SIZE, None))
