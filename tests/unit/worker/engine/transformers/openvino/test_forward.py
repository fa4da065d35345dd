"""Loading of a network for OpenVINO: on disk, not on disk, or on disk and wrong."""

import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.worker.engine.transformers.openvino.conftest import logits_of, matrices
from worker.engine.interface import EngineConfig
from worker.engine.transformers.openvino import forward
from worker.engine.transformers.openvino.conversion import convert
from worker.engine.transformers.openvino.forward import (
    GraphError,
    load_openvino_forward,
    prepare_network,
)
from worker.engine.transformers.openvino.store import is_converted, network_folder

PREPARE = """
import logging, sys
from pathlib import Path
from worker.engine.interface import EngineConfig
from worker.engine.transformers.openvino import forward
logging.basicConfig(level=logging.INFO)
print("ready", flush=True)
sys.stdin.readline()
forward.prepare_network(EngineConfig(
    folder=Path(sys.argv[1]), graph_folder=Path(sys.argv[2]), kv_cache_bytes=1, max_sequences=1
))
"""


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[EngineConfig]:
    """Return a list that grows with each conversion from now on."""
    made: list[EngineConfig] = []
    original = convert.convert

    def count(config: EngineConfig) -> Any:
        made.append(config)
        return original(config)

    monkeypatch.setattr(convert, "convert", count)
    return made


def corrupt(config: EngineConfig) -> None:
    """Overwrite weights of the output layer in place, which changes no file size."""
    network = prepare_network(config)
    file = network_folder(config, "full") / "graph.bin"
    content = file.read_bytes()
    start = content.index(matrices(network)[-1].get_data().tobytes())
    file.write_bytes(content[:start] + np.float32(1000).tobytes() + content[start + 4 :])


def test_a_network_is_converted_once_and_then_read(
    config: EngineConfig, conversions: list[EngineConfig]
) -> None:
    assert not is_converted(config)

    first, second = prepare_network(config), prepare_network(config)

    assert is_converted(config)
    assert len(conversions) == 1
    assert np.array_equal(logits_of(first), logits_of(second))


def test_without_a_folder_nothing_is_kept(
    config: EngineConfig, conversions: list[EngineConfig]
) -> None:
    config = replace(config, graph_folder=None)

    prepare_network(config)
    prepare_network(config)

    assert len(conversions) == 2
    assert not is_converted(config)


def test_a_truncated_graph_is_converted_again(
    config: EngineConfig, conversions: list[EngineConfig]
) -> None:
    prepare_network(config)
    weights = network_folder(config, "full") / "graph.bin"
    weights.write_bytes(weights.read_bytes()[:-100])

    load_openvino_forward(config)

    assert len(conversions) == 2


def test_weights_that_are_wrong_on_disk_are_noticed_and_converted_again(
    config: EngineConfig, conversions: list[EngineConfig], caplog: pytest.LogCaptureFixture
) -> None:
    corrupt(config)

    with caplog.at_level(logging.WARNING, "worker"):
        load_openvino_forward(config)
        load_openvino_forward(config)

    assert len(conversions) == 2
    [entry] = [record for record in caplog.records if record.name.startswith("worker")]
    assert entry.message.startswith("converting again: ")


def test_wrong_weights_do_not_pass_on_to_those_in_8_bits(
    config: EngineConfig, conversions: list[EngineConfig]
) -> None:
    corrupt(config)

    load_openvino_forward(replace(config, dtype="int8"))

    assert len(conversions) == 2


def test_weights_in_8_bits_are_made_of_a_network_that_is_there(
    config: EngineConfig, conversions: list[EngineConfig]
) -> None:
    prepare_network(config)

    prepare_network(replace(config, dtype="int8"))
    prepare_network(replace(config, dtype="int4"))

    assert len(conversions) == 1


def test_a_folder_that_takes_nothing_costs_a_conversion_at_each_load(
    config: EngineConfig,
    conversions: list[EngineConfig],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Fails for root as well, who may write to any folder.
    (tmp_path / "file").write_text("")
    config = replace(config, graph_folder=tmp_path / "file" / "graphs")

    with caplog.at_level(logging.WARNING, "worker"):
        loaded = load_openvino_forward(config)

    assert loaded.vocab_size == 512
    assert len(conversions) == 1
    assert "the converted network is not kept" in caplog.text


def test_a_disk_that_is_full_costs_a_conversion_at_each_load(
    config: EngineConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        # The error that OpenVINO makes of it.
        raise RuntimeError("basic_ios::clear: iostream error")

    monkeypatch.setattr("openvino.save_model", fail)

    with caplog.at_level(logging.WARNING, "worker"):
        loaded = load_openvino_forward(config)

    assert loaded.vocab_size == 512
    assert "the converted network is not kept" in caplog.text


@pytest.mark.nightly
def test_processes_that_start_together_convert_once(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PREPARE, str(folder), str(tmp_path / "graphs")]
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    processes = [subprocess.Popen(command, text=True, **pipes) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"  # type: ignore[union-attr]

    for process in processes:
        process.stdin.write("\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
    logs = [process.communicate(timeout=120)[1] for process in processes]

    assert [process.returncode for process in processes] == [0, 0], logs
    assert sum("converting the network for OpenVINO" in line for line in logs) == 1


def test_a_network_that_is_too_large_to_convert_says_so(
    config: EngineConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward, "free_cpu_bytes", lambda: 1 << 19)

    with pytest.raises(GraphError, match="converting takes"):
        prepare_network(config)


def test_a_choice_of_auto_that_is_not_exact_enough_gives_way_to_float32(
    config: EngineConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(
        "worker.engine.transformers.openvino.precision.fastest_precision", lambda _: "bf16"
    )

    with caplog.at_level(logging.INFO, "worker"):
        load_openvino_forward(replace(config, dtype="auto"), max_auto_divergence=-1.0)

    [entry] = [record for record in caplog.records if record.message == "compiled"]
    assert entry.__dict__["precision"] == "f32"
