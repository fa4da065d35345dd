"""Downloads over HTTP from a fake Hugging Face hub: the small files are judged first."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models.profile.weights import locate_weights
from models.settings import Settings
from tests.unit.worker.weights.fake_hub import COMMIT, FILES, serving
from tests.unit.worker.weights.test_fetch import show_nothing
from worker.weights import room
from worker.weights.errors import HubError, WeightsError
from worker.weights.fetch import prepare_weights
from worker.weights.huggingface import fetch_small_files, fetch_weights, look_up
from worker.weights.judge import judge

SMALL = {"config.json", "tokenizer.json", "chat_template.jinja"}


@pytest.fixture
def paths(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Return the paths that the fake hub is asked for."""
    with serving(monkeypatch) as asked:
        yield asked


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()}


def weights_asked_for(paths: list[str]) -> list[str]:
    return [path for path in paths if path.endswith(".safetensors")]


def settings_of(model: str, tmp_path: Path, **more: Any) -> Settings:
    return Settings(model=model, data_dir=tmp_path, kv_cache_gib=0.01, **more)


@pytest.mark.parametrize("model", ["owner/tiny", f"owner/tiny@{COMMIT}", "owner/tiny@main"])
def test_a_model_is_fetched_without_what_can_be_executed(
    paths: list[str], model: str, tmp_path: Path
) -> None:
    settings = settings_of(model, tmp_path)
    weights = locate_weights(settings)

    prepare_weights(settings, weights, show_nothing)

    assert names(weights.folder) == SMALL | {"model.safetensors"}
    assert (weights.folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]


def test_progress_is_that_of_the_weights(paths: list[str], tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    model = look_up("owner/tiny")

    checkpoint = fetch_small_files(model, tmp_path)

    assert not weights_asked_for(paths)
    assert names(tmp_path) == SMALL
    assert checkpoint.sizes["model.safetensors"] == 3_000_000
    assert "onnx/model.onnx" not in checkpoint.sizes

    fetch_weights(model, tmp_path, ["model.safetensors"], lambda *step: steps.append(step))

    assert steps[-1] == (3_000_000, 3_000_000)


@pytest.mark.parametrize("model", ["owner/none", "owner/tiny@no-such-revision"])
def test_what_is_not_there_is_named(paths: list[str], model: str) -> None:
    with pytest.raises(HubError, match=f"{model} cannot be fetched"):
        look_up(model)


@pytest.mark.parametrize("model", ["/no/such/folder", "./model", "~/model", "a/b/c"])
def test_a_folder_that_is_not_there_is_no_name_of_the_hub(model: str) -> None:
    with pytest.raises(HubError, match=f"there is no folder {model}"):
        look_up(model)


def test_a_hub_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(monkeypatch):
        pass

    # The library still asks the server, which is gone.
    with pytest.raises(HubError, match=r"owner/tiny cannot be fetched: .*refused"):
        look_up("owner/tiny")


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ("owner/pickled", "it has pickled weights only"),
        ("owner/hqq", "its weights are quantised by HQQ, which is not supported"),
        ("owner/base", "it has no chat template, so it is a base model"),
        ("owner/ranker", "it is a reranker"),
    ],
)
def test_a_model_that_is_not_served_is_refused_before_its_weights_are_fetched(
    paths: list[str], model: str, problem: str, tmp_path: Path
) -> None:
    settings = settings_of(model, tmp_path)

    with pytest.raises(WeightsError, match=f"{model} cannot be served: {problem}"):
        prepare_weights(settings, locate_weights(settings), show_nothing)

    assert not weights_asked_for(paths)
    assert not list((tmp_path / "weights").glob(".*.partial"))


def test_a_base_model_is_fetched_with_a_template_of_the_settings(
    paths: list[str], tmp_path: Path
) -> None:
    template = tmp_path / "chat.jinja"
    template.write_text("{{ messages }}")
    settings = settings_of("owner/base", tmp_path, chat_template=template)

    prepare_weights(settings, locate_weights(settings), show_nothing)

    assert locate_weights(settings).is_ready


@pytest.mark.parametrize(
    ("name", "amount", "problem"),
    [
        ("total_cpu_bytes", 1 << 20, "need 0.02 GiB, and the machine has 0.00 GiB"),
        ("free_disk_bytes", 1 << 20, "its files have 0.00 GiB, and 0.00 GiB are free on the disk"),
    ],
)
def test_what_does_not_fit_is_not_fetched(
    paths: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    amount: int,
    problem: str,
) -> None:
    monkeypatch.setattr(room, name, lambda *_: amount)
    settings = settings_of("owner/tiny", tmp_path)

    with pytest.raises(WeightsError, match=problem):
        prepare_weights(settings, locate_weights(settings), show_nothing)

    assert not weights_asked_for(paths)


def test_a_model_of_the_hub_is_judged_without_its_weights(paths: list[str], tmp_path: Path) -> None:
    found = judge(settings_of("owner/tiny", tmp_path))

    assert found.faults == []
    assert found.facts["stored_bytes"] == 3_000_000
    assert found.facts["num_weights"] == 1_500_000
    assert found.facts["reasoning"] == "<think>"
    assert not weights_asked_for(paths)
    assert not (tmp_path / "weights").exists()


def test_a_model_of_the_hub_is_refused_by_its_quantisation(
    paths: list[str], tmp_path: Path
) -> None:
    found = judge(settings_of("owner/hqq", tmp_path))

    assert [fault.check for fault in found.faults] == ["quantization"]
    assert not weights_asked_for(paths)
