"""Choice of the forward pass: by configuration and device, with fallbacks."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.unit.worker.engine.conftest import EngineFactory, Oracle
from tests.unit.worker.engine.harness import greedy
from tests.unit.worker.engine.state_architectures import WITH_STATES
from tests.unit.worker.engine.tiny_architectures import JETMOE, REFUSED_BY_OPENVINO
from tests.unit.worker.engine.tiny_networks import saved
from worker.engine.interface import EngineConfig, UnsupportedModelError
from worker.engine.transformers.model_runner import ModelRunner, load_forward
from worker.engine.transformers.openvino.conversion import convert
from worker.engine.transformers.openvino.forward import OpenVinoForward
from worker.engine.transformers.torch_forward.forward import TorchForward


def config_of(folder: Path, **settings: Any) -> EngineConfig:
    fields: dict[str, Any] = {"kv_cache_bytes": 1 << 20, "max_sequences": 1, "dtype": "float32"}
    return EngineConfig(folder=folder, num_threads=1, **(fields | settings))


@pytest.fixture
def _untraceable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make tracing of any model fail."""

    def fail(_: EngineConfig) -> None:
        raise TypeError("not traceable:\n  an operator that nobody knows")

    monkeypatch.setattr(convert, "convert", fail)


@pytest.mark.parametrize(
    ("asked", "kind"),
    [("auto", OpenVinoForward), ("openvino", OpenVinoForward), ("torch", TorchForward)],
)
def test_a_cpu_computes_in_openvino_unless_it_is_told_otherwise(
    folder: Path, asked: str, kind: type
) -> None:
    assert type(load_forward(config_of(folder, forward=asked))) is kind


@pytest.mark.usefixtures("_untraceable")
def test_a_model_that_is_not_traceable_is_computed_by_torch_with_one_line_of_why(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        forward = load_forward(config_of(folder))

    assert type(forward) is TorchForward
    [message] = [record.message for record in caplog.records if record.name.startswith("worker")]
    reason = "TypeError: not traceable: an operator that nobody knows"
    assert message == f"computing in torch: {reason}"


@pytest.mark.usefixtures("_untraceable")
@pytest.mark.parametrize(
    "asked", [{"forward": "openvino"}, {"dtype": "int4"}, {"kv_cache_dtype": "int8"}], ids=str
)
def test_what_only_openvino_has_is_refused_for_a_model_that_is_not_traceable(
    folder: Path, asked: dict[str, Any]
) -> None:
    with pytest.raises(UnsupportedModelError, match="OpenVINO cannot compute it"):
        ModelRunner(config_of(folder, **asked))


@pytest.mark.parametrize(
    "asked",
    [
        {"device": "cuda", "forward": "openvino"},
        {"device": "cuda", "dtype": "int4"},
        {"forward": "torch", "dtype": "int4"},
        {"forward": "torch", "kv_cache_dtype": "int8"},
        {"device": "cuda", "kv_cache_dtype": "int8"},
    ],
    ids=str,
)
def test_what_only_openvino_has_is_refused_where_it_does_not_compute(
    folder: Path, asked: dict[str, Any]
) -> None:
    with pytest.raises(UnsupportedModelError, match="OpenVINO"):
        ModelRunner(config_of(folder, **asked))


@pytest.mark.parametrize("forward", ["auto"])
def test_a_graph_that_computes_something_else_is_not_served(
    make_engine: EngineFactory,
    oracle: Oracle,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    original = convert.convert

    def other(config: EngineConfig) -> Any:
        network = original(config)
        network.reference[3] = -network.reference[3]
        return network

    monkeypatch.setattr(convert, "convert", other)
    with caplog.at_level(logging.WARNING):
        harness = make_engine(graph_folder=tmp_path)

    assert type(harness.engine._runner._compute) is TorchForward  # type: ignore[attr-defined]
    messages = [record.message for record in caplog.records if record.name.startswith("worker")]
    assert [message.split(":")[0] for message in messages] == ["computing in torch"]
    assert harness.run(greedy("it", [1, 2, 3])) == [oracle([1, 2, 3], 12)]


def test_a_graph_that_gives_fewer_logits_than_are_due_is_not_served(tmp_path: Path) -> None:
    saved(JETMOE, tmp_path)

    assert type(load_forward(config_of(tmp_path))) is TorchForward


def test_a_network_with_states_is_computed_by_torch_without_being_converted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    converted: list[EngineConfig] = []
    monkeypatch.setattr(convert, "convert", converted.append)
    saved(WITH_STATES["lfm2"], tmp_path)

    assert type(load_forward(config_of(tmp_path))) is TorchForward
    assert not converted


@pytest.mark.parametrize(
    "asked", [{"forward": "openvino"}, {"dtype": "int4"}, {"kv_cache_dtype": "int8"}], ids=str
)
def test_what_only_openvino_has_is_refused_for_a_network_with_states(
    tmp_path: Path, asked: dict[str, Any]
) -> None:
    saved(WITH_STATES["lfm2"], tmp_path)

    with pytest.raises(UnsupportedModelError, match="OpenVINO cannot compute it: it keeps a state"):
        ModelRunner(config_of(tmp_path, **asked))


def test_a_model_that_neither_computes_is_refused(tmp_path: Path) -> None:
    saved(REFUSED_BY_OPENVINO["stablelm"][0], tmp_path)

    with pytest.raises(UnsupportedModelError, match="does not hand keyword arguments down"):
        ModelRunner(config_of(tmp_path))


def test_threads_of_torch_are_those_of_the_forward_pass(folder: Path, forward: Any) -> None:
    """Check the limit of torch's threads, which compute everything after the forward pass."""
    try:
        torch.set_num_threads(2)

        ModelRunner(config_of(folder, forward=forward))

        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(1)
