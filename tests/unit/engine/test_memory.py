import json
from pathlib import Path

import pytest
import torch

from tests.unit.engine.conftest import EngineFactory
from worker.engine import EngineConfig, ModelTooLargeError, loading
from worker.engine.device import native_cpu_dtype
from worker.engine.forward import ModelRunner
from worker.engine.memory import free_bytes, stored_weights_bytes


def test_weights_are_counted_in_the_type_they_will_have(folder: Path) -> None:
    full = stored_weights_bytes(folder, torch.float32)

    assert full == stored_weights_bytes(folder, None)
    assert stored_weights_bytes(folder, torch.bfloat16) == full // 2
    assert full == pytest.approx((folder / "model.safetensors").stat().st_size, rel=0.05)


def test_what_is_free_is_less_than_the_machine_has() -> None:
    assert 0 < free_bytes(torch.device("cpu")) < 1 << 50


def test_a_model_that_does_not_fit_is_refused_before_it_is_loaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object) -> None:
        raise AssertionError("loaded")

    monkeypatch.setattr(loading, "free_bytes", lambda device: 1 << 30)
    monkeypatch.setattr(loading, "_from_folder", load)
    config = EngineConfig(folder=folder, kv_cache_bytes=3 << 30, max_sequences=1)

    with pytest.raises(ModelTooLargeError, match=r"3\.00 GiB, but only 1\.00 GiB are free"):
        ModelRunner(config)


def test_an_output_layer_that_shares_its_weights_counts_twice(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.safetensors").symlink_to(folder / "model.safetensors")
    known = json.loads((folder / "config.json").read_text())
    counted = []

    def note(weights_bytes: int, *_: int) -> None:
        counted.append(weights_bytes)
        raise ModelTooLargeError

    monkeypatch.setattr(loading, "check_fits", note)
    for is_tied in (False, True):
        known["tie_word_embeddings"] = is_tied
        (tmp_path / "config.json").write_text(json.dumps(known))
        with pytest.raises(ModelTooLargeError):
            ModelRunner(EngineConfig(folder=tmp_path, kv_cache_bytes=1, max_sequences=1))

    own, shared = counted
    itemsize = native_cpu_dtype().itemsize
    assert shared - own == known["vocab_size"] * known["hidden_size"] * itemsize


def test_random_weights_need_no_more_than_a_config(
    folder: Path, tmp_path: Path, make_engine: EngineFactory
) -> None:
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())

    engine = make_engine(folder=tmp_path, has_random_weights=True).engine

    assert engine.context_length == 512
