"""Damage of any tensor of a GGUF file shows in its header; check and load tell the same of it."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig

from bench.refusals.gguf_kinds import GGUF_KINDS
from cli.commands.preflight import check_weights
from models.profile.weights import locate_weights
from models.settings import Settings, SettingsError
from tests.unit.worker.weights.gguf.exporter import make_network, write_gguf
from tests.unit.worker.weights.gguf.sizes import SIZES
from tests.unit.worker.weights.gguf.test_architectures import NETWORKS, OFTEN
from tests.unit.worker.weights.test_fetch import show_nothing
from worker.engine.interface import BadCheckpointError
from worker.weights.errors import WeightsError
from worker.weights.fetch import prepare_weights
from worker.weights.gguf.checks.examine import examine_gguf
from worker.weights.gguf.file import GgufFile, GgufTensor, read_gguf
from worker.weights.judge import judge

Examine = Callable[[dict[str, GgufTensor]], None]

_OUTPUT = "output.weight"
_PART = re.compile(r"^blk\.\d+\.(.+)\.(weight|bias|scale)$")
_OPTIONAL = {"exp_probs_b"}
"""Parts that some networks do without, alone."""
_LONE_VALUES = "blk.2.attn_v.weight"
"""Values of the only layer of Gemma 4 that attends to everything: others take the keys for them."""


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=() if name in OFTEN else pytest.mark.nightly) for name in NETWORKS
    ],
)
def network(request: pytest.FixtureRequest, tmp_path_factory: Any) -> tuple[str, GgufFile]:
    """Return the name of a network, and its file as the converter writes it."""
    model_type, changes, export = NETWORKS[request.param]
    model = make_network(AutoConfig.for_model(model_type, **SIZES | changes))
    file = tmp_path_factory.mktemp("network") / "tiny.gguf"
    write_gguf(file, model, export)
    return request.param, read_gguf(file)


@pytest.fixture
def examine(network: tuple[str, GgufFile], monkeypatch: pytest.MonkeyPatch) -> Examine:
    """Return a function that examines the network's file with other tensors."""

    def run(tensors: dict[str, GgufTensor]) -> None:
        changed = replace(network[1], tensors=tensors, asked=set())
        monkeypatch.setattr("worker.weights.gguf.checks.examine.read_gguf", lambda path: changed)
        examine_gguf(Path("tiny.gguf"))

    return run


def test_a_whole_file_is_let_through(network: tuple[str, GgufFile], examine: Examine) -> None:
    examine(dict(network[1].tensors))


def test_each_tensor_that_is_gone_is_named(network: tuple[str, GgufFile], examine: Examine) -> None:
    name, file = network
    for gone in file.tensors:
        kept = {each: tensor for each, tensor in file.tensors.items() if each != gone}
        # Without it, the output layer is that of the embeddings.
        if gone == _OUTPUT or (name, gone) == ("gemma4", _LONE_VALUES):
            examine(kept)
            continue
        with pytest.raises(BadCheckpointError) as refused:
            examine(kept)
        # Of the only layer of a kind, it is the part that no layer has.
        assert gone in str(refused.value) or gone.split(".", 2)[-1] in str(refused.value)


def test_each_part_that_no_layer_has_is_named(
    network: tuple[str, GgufFile], examine: Examine
) -> None:
    _, file = network
    part_of = {name: match[1] for name in file.tensors if (match := _PART.match(name))}
    assert part_of
    for part in set(part_of.values()) - _OPTIONAL:
        kept = {name: each for name, each in file.tensors.items() if part_of.get(name) != part}
        with pytest.raises(BadCheckpointError, match="lack") as refused:
            examine(kept)
        assert re.search(rf"[(.]{re.escape(part)}\.", str(refused.value))


def test_each_matrix_with_its_axes_swapped_is_named(
    network: tuple[str, GgufFile], examine: Examine
) -> None:
    _, file = network
    for name, tensor in file.tensors.items():
        turned = tensor.shape[::-1]
        dense = [[length for length in axes if length != 1] for axes in (turned, tensor.shape)]
        if dense[0] == dense[1]:
            continue
        with pytest.raises(BadCheckpointError, match="has the shape") as refused:
            examine(dict(file.tensors) | {name: replace(tensor, shape=turned)})
        assert name in str(refused.value)


@pytest.mark.parametrize(
    "name",
    [
        *("GGUF: cut off", "GGUF: its header cut off", "GGUF: of another architecture"),
        *("GGUF: a tensor of the first layer gone", "GGUF: another width", "GGUF: no tokens"),
        *("GGUF: an unknown type", "GGUF: an entry gone", "GGUF: a part gone"),
    ],
)
def test_check_and_load_and_start_say_the_same(name: str, tmp_path: Path) -> None:
    kind = GGUF_KINDS[name]
    kind.write(tmp_path)
    model = tmp_path / kind.name
    settings = Settings(model=str(model), data_dir=tmp_path / "data", kv_cache_gib=0.01)

    [told] = [fault.problem for fault in judge(settings).faults]
    with pytest.raises(WeightsError) as refused:
        prepare_weights(settings, locate_weights(settings), show_nothing)

    assert kind.problem in told
    assert str(refused.value) == f"{model} cannot be served: {told}"
    with pytest.raises(SettingsError) as at_start:
        check_weights(settings)
    assert str(at_start.value) == f"{model.stem} cannot be served: {told}"
    assert not locate_weights(settings).folder.exists()


def test_a_file_that_is_not_there_is_left_to_its_conversion(tmp_path: Path) -> None:
    check_weights(Settings(model=str(tmp_path / "none.gguf"), data_dir=tmp_path))
