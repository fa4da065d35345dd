from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.unit.worker.engine.conftest import EngineFactory
from worker.engine.interface import EngineConfig, ModelTooLargeError
from worker.engine.transformers.model.memory import (
    CacheSize,
    divide_cache,
    free_bytes,
    safetensors_header,
    stored_bytes,
    stored_dtype,
)
from worker.engine.transformers.model.preview import estimate
from worker.engine.transformers.model.preview.estimate import LAYER_BYTES
from worker.engine.transformers.model.quantized.footprint import footprint
from worker.engine.transformers.model_runner import ModelRunner


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Save weights of several types in two files; return their folder."""
    save_file({"a": torch.ones(8, 3, dtype=torch.bfloat16)}, tmp_path / "1.safetensors")
    others = {"b": torch.ones(5), "c": torch.ones(2, dtype=torch.uint8)}
    save_file(others, tmp_path / "2.safetensors", {"format": "pt"})
    return tmp_path


def test_weights_are_counted_in_the_type_they_will_have(folder: Path) -> None:
    found = footprint(folder)

    assert found.num_bytes(4) == stored_bytes(folder)
    assert found.num_bytes(2) == stored_bytes(folder) // 2


def test_weights_are_counted_whatever_their_types(mixed: Path) -> None:
    (mixed / "config.json").write_text("{}")

    assert footprint(mixed).num_plain == 24 + 5 + 2
    assert stored_bytes(mixed) == 24 * 2 + 5 * 4 + 2


def test_a_header_has_the_tensors_and_nothing_else(mixed: Path) -> None:
    header = safetensors_header(mixed / "2.safetensors")

    assert {name: tensor["dtype"] for name, tensor in header.items()} == {"b": "F32", "c": "U8"}


@pytest.mark.parametrize(
    ("sizes", "dtype"),
    [
        ({torch.bfloat16: 20, torch.float32: 9}, torch.bfloat16),
        ({torch.bfloat16: 16, torch.float32: 9}, torch.float32),
        ({torch.float16: 1}, torch.float16),
        ({torch.int8: 9, torch.bfloat16: 1}, torch.bfloat16),
        ({}, torch.float32),
    ],
    ids=str,
)
def test_the_stored_type_is_the_one_that_takes_most_bytes(
    tmp_path: Path, sizes: dict[torch.dtype, int], dtype: torch.dtype
) -> None:
    tensors = {str(dtype): torch.ones(size, dtype=dtype) for dtype, size in sizes.items()}
    save_file(tensors, tmp_path / "model.safetensors")

    assert stored_dtype(tmp_path) is dtype


def test_what_is_free_is_less_than_the_machine_has() -> None:
    assert 0 < free_bytes(torch.device("cpu")) < 1 << 50


def test_a_model_that_does_not_fit_is_refused_before_it_is_loaded(
    folder: Path, forward: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object) -> None:
        raise AssertionError("loaded")

    monkeypatch.setattr(
        "worker.engine.transformers.model.loader.free_bytes", lambda device: 1 << 30
    )
    monkeypatch.setattr(
        "worker.engine.transformers.openvino.forward.free_cpu_bytes", lambda: 1 << 30
    )
    monkeypatch.setattr("worker.engine.transformers.model.loader._instantiate", load)
    config = EngineConfig(
        folder=folder, kv_cache_bytes=3 << 30, max_sequences=1, forward=forward, dtype="float32"
    )

    expected = r"need 0\.0[01] GiB and .* values 3\.00 GiB, but only 1\.00 GiB are free"
    with pytest.raises(ModelTooLargeError, match=expected):
        ModelRunner(config)


@pytest.mark.parametrize(
    ("dtype", "bytes_per_weight"),
    [("float32", 4), ("bfloat16", 2), ("int8", 1.02), ("int4", 0.7)],
)
def test_openvino_counts_weights_as_it_will_keep_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch, dtype: Any, bytes_per_weight: float
) -> None:
    counted: list[int] = []

    def note(weights_bytes: int, *_: int) -> None:
        counted.append(weights_bytes)
        raise ModelTooLargeError

    monkeypatch.setattr("worker.engine.transformers.openvino.forward.check_fits", note)
    monkeypatch.setattr(estimate, "has_avx512", lambda: True)
    monkeypatch.setattr(estimate, "has_vnni", lambda: True)
    config = EngineConfig(folder=folder, kv_cache_bytes=1, max_sequences=1, dtype=dtype)

    with pytest.raises(ModelTooLargeError):
        ModelRunner(config)

    weights = footprint(folder)
    num_weights = weights.num_plain
    if dtype == "float32":  # small matrices are kept twice
        num_weights += weights.num_small_plain
    found = counted[0] - int(num_weights * bytes_per_weight)
    assert found in [2 * num_bytes for num_bytes in LAYER_BYTES.values()]


def test_random_weights_need_no_more_than_a_config(
    folder: Path, tmp_path: Path, make_engine: EngineFactory
) -> None:
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())

    engine = make_engine(folder=tmp_path, has_random_weights=True).engine

    assert engine.context_length == 512


def test_states_take_what_sequences_need_and_blocks_the_rest_of_a_cache() -> None:
    assert divide_cache(1000, block_bytes=10, state_bytes=0, max_sequences=8) == CacheSize(100, 0)
    assert divide_cache(1000, block_bytes=10, state_bytes=50, max_sequences=2) == CacheSize(60, 8)


def test_states_take_at_most_half_of_a_cache_or_all_of_one_without_keys() -> None:
    size = divide_cache(1000, block_bytes=10, state_bytes=100, max_sequences=8)
    without_keys = divide_cache(1000, block_bytes=0, state_bytes=100, max_sequences=64)

    assert size == CacheSize(50, 5)
    assert without_keys.num_states == 10
    assert without_keys.num_blocks > 1000


def test_states_of_three_sequences_may_take_more_than_half_of_a_cache() -> None:
    size = divide_cache(1000, block_bytes=10, state_bytes=300, max_sequences=8)

    assert size == CacheSize(10, 3)


@pytest.mark.parametrize("block_bytes", [0, 1 << 20])
def test_a_cache_without_room_for_three_states_is_refused_with_their_size(
    block_bytes: int,
) -> None:
    with pytest.raises(ModelTooLargeError, match=r"need 1536\.00 MiB.*ANTIPHON_KV_CACHE"):
        divide_cache(1 << 30, block_bytes=block_bytes, state_bytes=1 << 29, max_sequences=1)
