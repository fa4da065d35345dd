"""Converted networks on disk: reused only if nothing has changed and they are complete."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.worker.engine.transformers.openvino.conftest import ReadNetwork, logits_of
from worker.engine.interface import EngineConfig
from worker.engine.transformers.openvino import store
from worker.engine.transformers.openvino.store import network_folder, read_network, write_network


@pytest.fixture
def copied_config(config: EngineConfig, folder: Path, tmp_path: Path) -> EngineConfig:
    """Return the configuration of a copy of the tiny network, which a test may change."""
    shutil.copytree(folder, tmp_path / "weights", ignore=shutil.ignore_patterns("openvino"))
    return replace(config, folder=tmp_path / "weights")


@pytest.fixture
def stored_network(read: ReadNetwork, tmp_path: Path) -> Path:
    """Return a folder with the tiny network converted, which a test may change."""
    write_network(read(), tmp_path / "graphs" / "full-1")
    return tmp_path / "graphs" / "full-1"


def change_config(folder: Path) -> None:
    known = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(known | {"rms_norm_eps": 0.5}))


def touch_weights(folder: Path) -> None:
    os.utime(folder / "model.safetensors", ns=(1, 1))


def add_weights(folder: Path) -> None:
    shutil.copy(folder / "model.safetensors", folder / "more.safetensors")


def add_end_token(folder: Path) -> None:
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": 7}))


@pytest.mark.parametrize("change", [change_config, touch_weights, add_weights, add_end_token])
def test_a_model_that_has_changed_has_another_folder(
    copied_config: EngineConfig, change: Callable[[Path], None]
) -> None:
    before = network_folder(copied_config, "full")
    assert network_folder(copied_config, "full") == before

    change(copied_config.folder)

    assert network_folder(copied_config, "full") != before


def test_another_version_of_a_library_has_another_folder(
    copied_config: EngineConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = network_folder(copied_config, "full")

    monkeypatch.setattr(store, "version", lambda name: "0.0.1")

    assert network_folder(copied_config, "full") != before


def test_how_it_is_computed_changes_no_folder_but_how_weights_are_kept_does(
    config: EngineConfig,
) -> None:
    others = replace(config, dtype="bfloat16", num_threads=7, kv_cache_bytes=1 << 30)

    assert network_folder(others, "full") == network_folder(config, "full")
    assert network_folder(config, "int8") != network_folder(config, "int4")


def test_what_was_written_is_read(stored_network: Path, read: ReadNetwork) -> None:
    network, found = read(), read_network(stored_network)

    assert found is not None
    assert (found.vocab_size, found.max_positions) == (512, 512)
    assert found.eos_token_ids == frozenset({256})
    assert np.array_equal(found.reference, network.reference)
    assert np.array_equal(logits_of(found), logits_of(network))


def test_nothing_is_read_where_there_is_nothing(tmp_path: Path) -> None:
    assert read_network(tmp_path / "none") is None


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def remove(file: Path) -> None:
    file.unlink()


def empty(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize("damage", [truncate, remove, empty])
@pytest.mark.parametrize("name", ["graph.xml", "graph.bin", "reference.npy", "manifest.json"])
def test_what_is_damaged_is_not_read(
    stored_network: Path, name: str, damage: Callable[[Path], None]
) -> None:
    damage(stored_network / name)

    assert read_network(stored_network) is None


def test_a_manifest_with_a_wrong_size_is_not_believed(stored_network: Path) -> None:
    manifest = json.loads((stored_network / "manifest.json").read_text())
    manifest["sizes"]["graph.bin"] += 1
    (stored_network / "manifest.json").write_text(json.dumps(manifest))

    assert read_network(stored_network) is None


@pytest.mark.parametrize("step", ["write_graph", "np.save", "json.dumps"])
def test_a_process_that_dies_while_writing_leaves_nothing_that_is_taken_for_complete(
    read: ReadNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    class Died(BaseException):
        pass

    def die(*_: Any) -> None:
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(f"worker.engine.transformers.openvino.store.{step}", die)
        with pytest.raises(Died):
            write_network(read(), tmp_path / "full-1")
    assert read_network(tmp_path / "full-1") is None

    write_network(read(), tmp_path / "full-1")
    assert read_network(tmp_path / "full-1") is not None
    assert [path.name for path in tmp_path.iterdir()] == ["full-1"]


def test_a_network_replaces_those_of_its_kind_and_no_others(
    stored_network: Path, read: ReadNetwork
) -> None:
    shutil.copytree(stored_network, stored_network.with_name("int8-1"))

    write_network(read(), stored_network.with_name("full-2"))

    assert sorted(path.name for path in stored_network.parent.iterdir()) == ["full-2", "int8-1"]
