"""Adapters on the Hugging Face Hub are fetched and merged into their base model."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save

from models.profile.weights import locate_weights
from models.settings import Settings
from tests.tiny_model import save_tiny_model
from tests.unit.worker.weights.fake_hub import REPOSITORIES, serving
from tests.unit.worker.weights.lora.test_merge import CONFIG, QUERY, matrices, product
from tests.unit.worker.weights.test_fetch import show_nothing
from worker.weights.errors import WeightsError
from worker.weights.fetch import prepare_weights
from worker.weights.judge import judge


def test_an_adapter_is_fetched_and_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = save_tiny_model(tmp_path / "base")
    tensors = matrices(QUERY, 64, 64)
    config = CONFIG | {"base_model_name_or_path": str(base)}
    files = {
        "adapter_config.json": json.dumps(config).encode(),
        "adapter_model.safetensors": save(tensors),
        "optimizer.safetensors": b"not of the adapter",
    }
    monkeypatch.setitem(REPOSITORIES, "owner/tuned", files)
    settings = Settings(model="owner/tuned", data_dir=tmp_path / "data", kv_cache_gib=0.01)
    weights = locate_weights(settings)

    with serving(monkeypatch) as paths:
        before_download = judge(settings)
        prepare_weights(settings, weights, show_nothing)

    assert before_download.faults == []
    assert before_download.facts["num_weights"] > 0
    name = f"{QUERY}.weight"
    before = load_file(base / "model.safetensors")[name]
    after = load_file(weights.folder / "model.safetensors")[name]
    torch.testing.assert_close(after, before + 2 * product(tensors, QUERY))
    assert not any("optimizer" in path for path in paths)
    assert [path.name for path in (tmp_path / "data" / "weights").iterdir() if path.is_dir()] == [
        weights.folder.name
    ]


def test_an_adapter_without_weights_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(REPOSITORIES, "owner/empty", {"adapter_config.json": b"{}"})
    settings = Settings(model="owner/empty", data_dir=tmp_path, kv_cache_gib=0.01)

    with (
        serving(monkeypatch),
        pytest.raises(WeightsError, match=r"the adapter has no adapter_model\.safetensors"),
    ):
        prepare_weights(settings, locate_weights(settings), show_nothing)
