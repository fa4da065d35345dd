"""Memory of networks of some size is as estimated from their headers before they are loaded."""

from pathlib import Path

import pytest

from bench.memory.growth import MAX_ERROR, NUM_SMALL, measure
from bench.memory.kinds import KINDS
from bench.memory.networks import save_network

TIMEOUT_S = 900
"""Far more than a case takes, on a machine that does something else besides."""
IN_ALL_TYPES = ("bfloat16", "FP8 in blocks")
IN_TORCH = ("bfloat16", "AWQ", "FP8 in blocks", "MXFP4 gpt-oss")
"""Kinds that are loaded in torch: what it holds of each is counted in test_estimate.py."""
CASES = [("openvino", name) for name in KINDS] + [("torch", name) for name in IN_TORCH]


@pytest.mark.nightly
@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize(("forward", "name"), CASES)
def test_memory_is_as_estimated(forward: str, name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    types = kind.types(forward) if name in IN_ALL_TYPES else kind.types(forward)[:1]
    small, large = tmp_path / "small", tmp_path / "large"
    save_network(small, kind, num_layers=NUM_SMALL)
    save_network(large, kind, num_layers=NUM_SMALL + 2)

    ratios = {dtype: measure(small, large, forward, dtype).ratio for dtype in types}

    assert ratios == pytest.approx(dict.fromkeys(types, 1), abs=MAX_ERROR)
