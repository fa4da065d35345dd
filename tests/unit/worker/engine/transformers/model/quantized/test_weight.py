"""Packed weights as parameters: what operators make of them equals what full weights give."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, linear

from worker.engine.transformers.model.quantized import weight as module
from worker.engine.transformers.model.quantized.matrix import (
    QuantizedMatrix,
    pack_pairs,
    unpack_pairs,
)
from worker.engine.transformers.model.quantized.weight import PackedWeight

OUTPUTS, INPUTS, GROUP = 6, 8, 4


def matrix(seed: int = 0, *, experts: int = 0, order: Tensor | None = None) -> QuantizedMatrix:
    """Return a random matrix, or several."""
    generator = torch.Generator().manual_seed(seed)
    shape = [experts, OUTPUTS] if experts else [OUTPUTS]
    levels = torch.randint(16, (*shape, INPUTS), generator=generator, dtype=torch.uint8)
    return QuantizedMatrix(
        levels=pack_pairs(levels),
        level_type="u4",
        scales=torch.rand(*shape, INPUTS // GROUP, generator=generator),
        group_size=GROUP,
        zero_points=torch.randint(16, (*shape, 2), generator=generator, dtype=torch.uint8),
        order=order,
    )


def packed(seed: int = 0, *, experts: int = 0) -> PackedWeight:
    return PackedWeight(matrix(seed, experts=experts), torch.float32)


def full(weight: Tensor) -> Tensor:
    assert isinstance(weight, PackedWeight)
    return weight.dequantize_weight()


def test_a_weight_is_its_level_less_the_zero_point_times_the_scale() -> None:
    found = matrix()
    assert found.zero_points is not None
    levels = unpack_pairs(found.levels)

    for output in range(OUTPUTS):
        for column in range(INPUTS):
            group = column // GROUP
            level = int(levels[output, column]) - int(found.zero_points[output, group])
            expected = level * found.scales[output, group]
            assert found.dequantize(torch.float32)[output, column] == expected


def test_the_last_group_may_be_smaller() -> None:
    small = replace(matrix(), group_size=5)
    whole = matrix()

    assert torch.equal(
        small.dequantize(torch.float32)[:, :4], whole.dequantize(torch.float32)[:, :4]
    )
    assert small.shape == whole.shape


def test_columns_go_to_the_inputs_that_they_belong_to() -> None:
    order = torch.randperm(INPUTS, generator=torch.Generator().manual_seed(1))
    plain, ordered = matrix().dequantize(torch.float32), matrix(order=order)

    assert torch.equal(ordered.dequantize(torch.float32)[:, order], plain)


@pytest.mark.parametrize("slice_weights", [1, 20, 1 << 20])
def test_a_linear_layer_multiplies_a_slice_at_a_time(
    slice_weights: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SLICE_WEIGHTS", slice_weights)
    order = torch.randperm(INPUTS)
    rows, bias = torch.rand(2, 3, INPUTS), torch.rand(OUTPUTS)
    layer = nn.Linear(INPUTS, OUTPUTS)
    layer.weight = nn.Parameter(PackedWeight(matrix(order=order), torch.float32))
    layer.bias = nn.Parameter(bias)

    with torch.inference_mode():
        found = layer(rows)

    expected = linear(rows, matrix(order=order).dequantize(torch.float32), bias)
    assert torch.allclose(found, expected, atol=1e-5)


def test_experts_are_stacked_joined_and_selected_without_being_dequantised() -> None:
    gates: list[Tensor] = [packed(seed) for seed in (1, 2)]
    ups: list[Tensor] = [packed(seed) for seed in (3, 4)]

    joined = torch.cat([torch.stack(gates), torch.stack(ups)], dim=1)
    selected = joined[torch.tensor(1)]

    assert isinstance(joined, PackedWeight)
    assert joined.shape == (2, 2 * OUTPUTS, INPUTS)
    assert torch.equal(full(selected), torch.cat([full(gates[1]), full(ups[1])]))


def test_weights_of_different_kinds_are_dequantised_to_be_joined() -> None:
    ordered = PackedWeight(matrix(order=torch.arange(INPUTS).flip(0)), torch.float32)

    joined = torch.stack([packed(), ordered])

    assert not isinstance(joined, PackedWeight)
    assert torch.equal(joined[1], full(ordered))


def test_transposed_experts_are_selected_as_the_network_has_them() -> None:
    weight = PackedWeight(matrix(experts=2), torch.float32, is_transposed=True)

    assert weight.shape == (2, INPUTS, OUTPUTS)
    assert torch.equal(full(weight[1]), matrix(experts=2).dequantize(torch.float32)[1].t())
    assert torch.equal(torch.ones(3, INPUTS) @ weight[1], torch.ones(3, INPUTS) @ full(weight[1]))


def test_other_operators_get_the_weights_in_full() -> None:
    weight = packed()

    assert torch.equal(embedding(torch.tensor([2, 0]), weight), full(weight)[[2, 0]])
    assert torch.equal(weight + 1, full(weight) + 1)


def test_a_parameter_keeps_its_matrix_in_another_type() -> None:
    weight = packed()

    changed = nn.Parameter(weight, requires_grad=False).to(torch.bfloat16)

    assert isinstance(changed, PackedWeight)
    assert changed.matrix is weight.matrix
    assert changed.dtype == full(changed).dtype == torch.bfloat16
