"""The estimate of memory counts the weights that each forward pass holds, of every kind."""

from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from bench.memory.kinds import KINDS, Kind
from bench.memory.networks import save_network
from worker.engine.interface import EngineConfig
from worker.engine.transformers.model.loader import load_model
from worker.engine.transformers.model.preview import estimate
from worker.engine.transformers.model.preview.estimate import (
    SMALL_MATRIX,
    Footprint,
    expected_bytes,
    openvino_bytes,
)
from worker.engine.transformers.model.quantized.footprint import footprint
from worker.engine.transformers.model.quantized.weight import PackedWeight

SIZES: dict[str, Any] = {
    **{"hidden_size": 256, "intermediate_size": 1024, "num_local_experts": 4},
    **{"num_attention_heads": 4, "num_key_value_heads": 2},
}
MAX_ERROR = 0.05

CASES = [
    pytest.param(kind, dtype, id=f"{name} {dtype}")
    for name, kind in KINDS.items()
    for dtype in kind.types("torch")
]


def held_bytes(model: Any) -> int:
    """Return the bytes of the weights of a network, packed ones as they are kept."""
    sizes: dict[int, int] = {}
    for module in model.modules():
        # Layers in int8 have tensors that are no parameters.
        for value in [*module.parameters(recurse=False), *vars(module).values()]:
            if isinstance(value, PackedWeight):
                sizes[id(value)] = value.matrix.nbytes
            elif isinstance(value, Tensor):
                sizes[value.data_ptr()] = value.nbytes
    return sum(sizes.values())


@pytest.mark.parametrize(("kind", "dtype"), CASES)
def test_it_is_what_torch_holds(kind: Kind, dtype: Any, tmp_path: Path) -> None:
    folder = tmp_path / "network"
    save_network(folder, kind, num_layers=2, **SIZES)
    config = EngineConfig(
        folder=folder, kv_cache_bytes=1, max_sequences=1, dtype=dtype, forward="torch"
    )

    expected = expected_bytes(footprint(folder), config, in_openvino=False)

    assert held_bytes(load_model(config)) == pytest.approx(expected, rel=MAX_ERROR)


PLAIN = Footprint(num_plain=100, plain_bytes=200, num_layers=0, num_small_plain=50)
PACKED = Footprint(
    num_plain=0,
    plain_bytes=0,
    num_layers=0,
    num_quantized=100,
    level_bytes=50,
    num_scales=10,
    num_small_quantized=20,
)


@pytest.mark.parametrize(
    ("weights", "dtype", "precision", "features", "expected"),
    [
        (PLAIN, "bfloat16", "bf16", {"avx512"}, 200),
        (PLAIN, "bfloat16", "bf16", {}, 200 + 100),
        (PLAIN, "float32", "f32", {"avx512", "vnni"}, 200 + 100),
        (PLAIN, "int8", "f32", {"avx512"}, 102 + 51),
        (PLAIN, "int8", "f32", {"avx512", "vnni"}, 102),
        (PACKED, "auto", "f32", {"vnni"}, 50 + 40),
        (PACKED, "auto", "f32", {"avx512"}, 50 + 40 + 10),
        (PACKED, "float32", "f32", {"vnni"}, 50 + 40 + 10),
    ],
)
def test_openvino_keeps_small_matrices_twice_where_it_computes_in_float32(
    monkeypatch: pytest.MonkeyPatch,
    weights: Footprint,
    dtype: str,
    precision: str,
    features: set[str],
    expected: int,
) -> None:
    monkeypatch.setattr(estimate, "has_avx512", lambda: "avx512" in features)
    monkeypatch.setattr(estimate, "has_vnni", lambda: "vnni" in features)

    assert openvino_bytes(weights, dtype, precision) == expected


@pytest.mark.parametrize("name", ["bfloat16", "W4A16", "MXFP4 gpt-oss"])
def test_matrices_of_linear_layers_are_small_by_their_own_size(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "network"
    save_network(folder, KINDS[name], num_layers=1, **SIZES | {"intermediate_size": 1 << 14})

    found = footprint(folder)

    attention = (4 + 2) * 2 * 64 * 256  # queries and outputs, keys and values
    head = 128 * 256
    assert SMALL_MATRIX == (1 << 14) * 256
    router = 4 * 256 if name == "MXFP4 gpt-oss" else 0
    small = (head, attention) if name == "W4A16" else (head + attention + router, 0)
    assert (found.num_small_plain, found.num_small_quantized) == small
