"""Split GGUF files are joined; those that are not whole are refused before they are read."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoConfig

from models.profile.weights import locate_weights
from models.settings import Settings
from tests.unit.worker.weights.gguf.exporter import (
    Export,
    load_converted,
    logits,
    make_network,
    paired,
    write_gguf,
)
from tests.unit.worker.weights.gguf.sizes import SIZES
from tests.unit.worker.weights.test_fetch import show_nothing
from worker.engine.interface import BadCheckpointError
from worker.weights.errors import WeightsError
from worker.weights.fetch import prepare_weights
from worker.weights.gguf.convert import Conversion
from worker.weights.gguf.file import GgufTensor
from worker.weights.judge import judge

LLAMA = Export("llama", paired)
Change = Callable[[gguf.GGUFWriter, Any], object]


@pytest.fixture(scope="module")
def model() -> Any:
    return make_network(AutoConfig.for_model("llama", **SIZES | {"head_dim": 16}))


@pytest.fixture(scope="module")
def whole(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("whole") / "tiny.gguf"
    write_gguf(file, model, LLAMA)
    return file


def split(whole: Path, folder: Path, num_parts: int = 3) -> list[Path]:
    """Split a file as `llama-gguf-split` does: all metadata in the first part, none in others."""
    reader = gguf.GGUFReader(whole)
    parts = [folder / f"tiny-{n:05}-of-{num_parts:05}.gguf" for n in range(1, num_parts + 1)]
    for number, part in enumerate(parts):
        writer = gguf.GGUFWriter(part, "llama")
        if number == 0:
            _copy_metadata(reader, writer)
        else:
            del writer.kv_data[0]["general.architecture"]
        writer.add_uint16("split.no", number)
        writer.add_uint16("split.count", num_parts)
        writer.add_int32("split.tensors.count", len(reader.tensors))
        for tensor in reader.tensors[number::num_parts]:
            writer.add_tensor(tensor.name, np.array(tensor.data))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return parts


def _copy_metadata(reader: gguf.GGUFReader, writer: gguf.GGUFWriter) -> None:
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        kind = field.types[0]
        sub_type = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), kind, sub_type)


@pytest.mark.parametrize("number", [0, 2])
def test_a_split_file_is_joined_whichever_part_is_named(
    whole: Path, model: Any, tmp_path: Path, number: int
) -> None:
    parts = split(whole, tmp_path)

    loaded = load_converted(parts[number])

    torch.testing.assert_close(logits(loaded), logits(model), rtol=1e-4, atol=1e-4)


def test_a_part_that_is_missing_is_named(whole: Path, tmp_path: Path) -> None:
    parts = split(whole, tmp_path)
    parts[1].unlink()

    with pytest.raises(BadCheckpointError, match=r"it lacks 1 part .tiny-00002-of-00003\.gguf"):
        Conversion(parts[0])


def test_a_part_under_another_name_is_refused(whole: Path, tmp_path: Path) -> None:
    first = split(whole, tmp_path)[0].rename(tmp_path / "first.gguf")

    with pytest.raises(BadCheckpointError, match="it is one of 3 parts, whose names must end in"):
        Conversion(first)


def test_a_part_of_another_file_is_refused(whole: Path, tmp_path: Path) -> None:
    parts = split(whole, tmp_path)
    shutil.copy(parts[1], parts[2])

    with pytest.raises(BadCheckpointError, match="its parts have"):
        Conversion(parts[0])


def test_a_file_that_is_cut_off_is_refused(whole: Path, tmp_path: Path) -> None:
    file = Path(shutil.copy(whole, tmp_path))
    os.truncate(file, file.stat().st_size - 1000)

    with pytest.raises(BadCheckpointError, match=r"tiny\.gguf is damaged: it has \d+ of \d+ bytes"):
        Conversion(file)


@pytest.mark.parametrize("length", [0, 3, 20, 400])
def test_a_header_that_is_cut_off_is_refused(whole: Path, tmp_path: Path, length: int) -> None:
    file = Path(shutil.copy(whole, tmp_path))
    os.truncate(file, length)

    with pytest.raises(BadCheckpointError, match=r"tiny\.gguf cannot be read as GGUF: ") as caught:
        Conversion(file)

    assert str(file) not in str(caught.value)


REFUSED: dict[str, tuple[Change, str]] = {
    "an adapter": (lambda writer, _: writer.add_type("adapter"), "it is of type 'adapter'"),
    "a vision part": (lambda writer, _: writer.add_type("mmproj"), "it is of type 'mmproj'"),
    "a window": (
        lambda writer, _: writer.add_sliding_window(4096),
        r"its metadata has llama\.attention\.sliding_window, which is not understood",
    ),
    "a bias": (
        lambda writer, _: writer.add_tensor("blk.1.ffn_norm.bias", np.ones(64, np.float32)),
        r"no place for 1 tensor .blk\.1\.ffn_norm\.bias",
    ),
}


@pytest.mark.parametrize(("change", "problem"), REFUSED.values(), ids=list(REFUSED))
def test_a_file_that_would_lose_something_is_refused(
    model: Any, tmp_path: Path, change: Change, problem: str
) -> None:
    write_gguf(tmp_path / "tiny.gguf", model, LLAMA, change)

    with pytest.raises(BadCheckpointError, match=problem):
        Conversion(tmp_path / "tiny.gguf")


def without(model: Any, file: Path, name: str) -> None:
    original = gguf.GGUFWriter.add_tensor
    with pytest.MonkeyPatch.context() as patch:

        def add(writer: Any, tensor: str, values: Any, **more: Any) -> None:
            if tensor != name:
                original(writer, tensor, values, **more)

        patch.setattr(gguf.GGUFWriter, "add_tensor", add)
        write_gguf(file, model, LLAMA)


@pytest.mark.parametrize(
    ("name", "lacking"),
    [
        ("blk.2.attn_k.weight", r"blk\.2\.attn_k\.weight"),
        ("token_embd.weight", r"token_embd\.weight"),
        ("output_norm.weight", r"output_norm\.weight"),
    ],
)
def test_a_file_that_lacks_a_tensor_is_refused(
    model: Any, tmp_path: Path, name: str, lacking: str
) -> None:
    without(model, tmp_path / "tiny.gguf", name)

    with pytest.raises(BadCheckpointError, match=f"it lacks 1 tensor .{lacking}"):
        Conversion(tmp_path / "tiny.gguf")


def test_an_architecture_that_is_not_converted_is_refused_by_name(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "tiny.gguf", "rwkv7")
    writer.add_tensor("token_embd.weight", np.ones((4, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    with pytest.raises(BadCheckpointError, match="architecture 'rwkv7' are not converted"):
        Conversion(tmp_path / "tiny.gguf")


def test_nothing_is_read_before_the_header_is_found_whole(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(tensor: GgufTensor) -> None:
        raise AssertionError(tensor.name)

    monkeypatch.setattr(GgufTensor, "read", read)
    without(model, tmp_path / "tiny.gguf", "blk.2.attn_k.weight")
    settings = Settings(
        model=str(tmp_path / "tiny.gguf"), data_dir=tmp_path / "data", kv_cache_gib=0.01
    )

    with pytest.raises(WeightsError, match="cannot be served: it lacks 1 tensor"):
        prepare_weights(settings, locate_weights(settings), show_nothing)

    assert not locate_weights(settings).folder.exists()


def test_a_file_is_judged_without_a_conversion(whole: Path, tmp_path: Path) -> None:
    settings = Settings(model=str(whole), data_dir=tmp_path, dtype="float32", kv_cache_gib=0.01)

    found = judge(settings)

    assert found.faults == []
    assert found.facts["architecture"] == "LlamaForCausalLM"
    assert found.facts["stored_bytes"] == 4 * found.facts["num_weights"]
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    found = judge(Settings(model=str(tmp_path / "none.gguf"), data_dir=tmp_path))

    assert [fault.problem for fault in found.faults] == [f"there is no file {tmp_path}/none.gguf"]


def test_a_file_is_converted_once(whole: Path, tmp_path: Path) -> None:
    settings = Settings(model=str(whole), data_dir=tmp_path, dtype="float32", kv_cache_gib=0.01)
    weights = locate_weights(settings)

    prepare_weights(settings, weights, show_nothing)

    assert {path.name for path in weights.folder.iterdir()} >= {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "chat_template.jinja",
    }
    assert judge(settings).faults == []
