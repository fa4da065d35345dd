"""Hollow copies of folders: their configuration, and weights that take no space."""

import json
from pathlib import Path

from bench.families.hollow import hollow_copy
from worker.engine.transformers.model.quantized.footprint import footprint


def test_a_hollow_copy_has_the_configuration_and_weights_that_are_not_there(tmp_path: Path) -> None:
    folder, hollow = tmp_path / "network", tmp_path / "hollow"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "model.safetensors.index.json").write_text("{}")

    hollow_copy(folder, hollow)

    assert {file.name for file in hollow.iterdir()} == {"config.json", "model.safetensors"}
    assert json.loads((hollow / "config.json").read_text()) == {"model_type": "llama"}
    assert footprint(hollow).num_plain == 1 << 38
    weights = (hollow / "model.safetensors").stat()
    assert weights.st_size > 1 << 40
    assert weights.st_blocks * 512 < 1 << 20
