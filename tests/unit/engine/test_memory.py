from pathlib import Path

import pytest
import torch

from tests.unit.engine.conftest import EngineFactory
from worker.engine import EngineConfig, ModelTooLargeError, loading
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


def test_random_weights_need_no_more_than_a_config(
    folder: Path, tmp_path: Path, make_engine: EngineFactory
) -> None:
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())

    engine = make_engine(folder=tmp_path, has_random_weights=True).engine

    assert engine.context_length == 512
