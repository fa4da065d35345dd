"""Tensors that make up a quantised weight, as the readers of the formats have them."""

from typing import Any

import pytest

from tests.unit.worker.engine.quantized_networks import KINDS
from worker.engine.checkpoint.packed_parts import PARTS
from worker.engine.checkpoint.quantizations import find_quantization
from worker.engine.transformers.model.quantized.formats import find_format

SETTINGS = {name: settings for name, (_, settings) in KINDS.items()}
SETTINGS |= {"mxfp4": {"quant_method": "mxfp4"}}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=list(SETTINGS))
def test_the_parts_of_a_weight_are_those_that_are_read(settings: dict[str, Any]) -> None:
    config = {"quantization_config": settings}
    found, form = find_quantization(config, {}), find_format(config)
    assert found is not None
    assert form is not None

    parts = PARTS[found.name]

    assert (parts.levels, parts.required, parts.types) == (form.levels, form.required, form.types)


def test_each_format_that_is_read_has_its_parts() -> None:
    named = {find_quantization({"quantization_config": each}, {}) for each in SETTINGS.values()}

    assert {row.name for row in named if row is not None} == PARTS.keys()
