"""Damaged checkpoints of many gigabytes: refused by their headers, in one line, without torch."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.refusals.sparse_weights import llama_shapes, write_header, write_sparse
from worker.engine.checkpoint.examine import examine
from worker.engine.checkpoint.files import Checkpoint

Change = Callable[[Path], object]

FIRST = "model-00001-of-00004.safetensors"
LAST = "model-00004-of-00004.safetensors"
INDEX = "model.safetensors.index.json"
LAYER = "model.layers.3"


def edit(folder: Path, name: str, **fields: object) -> None:
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(content | fields))


def cut(folder: Path, name: str, num_bytes: int) -> None:
    os.truncate(folder / name, num_bytes)


def with_header(folder: Path, name: str, **entry: object) -> None:
    """Write a file of one tensor, of which some things are wrong."""
    whole = {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}
    write_header(folder / name, {"w": whole | entry})


def without(folder: Path, *names: str) -> None:
    gone = [name for name in llama_shapes(8) if name.startswith(names)]
    for file in folder.glob("*.safetensors"):
        file.unlink()
    write_sparse(folder, {key: shape for key, shape in llama_shapes(8).items() if key not in gone})


def set_length(folder: Path, length: int) -> None:
    with (folder / FIRST).open("r+b") as file:
        file.write(length.to_bytes(8, "little"))


def pointer(folder: Path) -> None:
    (folder / FIRST).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")


def garbage(folder: Path) -> None:
    text = b"\x00" * 100
    (folder / FIRST).write_bytes(len(text).to_bytes(8, "little") + text)


def two_tensors(folder: Path, second: list[int]) -> None:
    entry = {"dtype": "BF16", "shape": [4]}
    tensors = {"a": entry | {"data_offsets": [0, 8]}, "b": entry | {"data_offsets": second}}
    write_header(folder / FIRST, tensors)


def remove(*patterns: str) -> Change:
    """Return a change that removes all files of some names."""

    def change(folder: Path) -> None:
        for file in [file for pattern in patterns for file in folder.glob(pattern)]:
            file.unlink()

    return change


def steps(*changes: Change) -> Change:
    """Return a change that makes several, one after the other."""
    return lambda folder: [change(folder) for change in changes]


DAMAGE: dict[str, tuple[Change, str]] = {
    "no config.json": (remove("config.json"), "it has no config.json"),
    "config.json cut off": (lambda at: cut(at, "config.json", 20), "config.json is no JSON: "),
    "config.json empty": (lambda at: cut(at, "config.json", 0), "config.json is no JSON: "),
    "config.json a list": (
        lambda at: (at / "config.json").write_text("[]"),
        "config.json is no JSON object",
    ),
    "config.json binary": (
        lambda at: (at / "config.json").write_bytes(b"\xff\xfe"),
        "config.json is no JSON: ",
    ),
    "no model_type": (
        lambda at: (at / "config.json").write_text("{}"),
        "config.json has no model_type",
    ),
    "model_type a number": (
        lambda at: edit(at, "config.json", model_type=3),
        "config.json has no model_type",
    ),
    "unknown model_type": (
        lambda at: edit(at, "config.json", model_type="llama9"),
        "networks of the type 'llama9' are unknown to transformers",
    ),
    "a layer for each atom": (
        lambda at: edit(at, "config.json", num_hidden_layers=10**12),
        "config.json says num_hidden_layers is 1000000000000, and no network has more than 1000",
    ),
    "its own code": (
        lambda at: edit(at, "config.json", model_type="mine", auto_map={"AutoConfig": "c.C"}),
        "code that comes with weights is never run",
    ),
    "no weights": (
        remove("*.safetensors", INDEX),
        "it has no safetensors files",
    ),
    "pickled weights": (
        steps(
            remove("*.safetensors", INDEX),
            lambda at: (at / "pytorch_model.bin").write_bytes(b"\x80"),
        ),
        "it has pickled weights only",
    ),
    "a shard gone": (remove(LAST), f"its index names 1 file ({LAST}) missing"),
    "index gone": (
        remove(INDEX),
        f"it has neither model.safetensors nor {INDEX}, only {FIRST}",
    ),
    "index and a shard gone": (
        remove(INDEX, LAST),
        f"it has no {INDEX}, and lacks 1 file ({LAST})",
    ),
    "index no JSON": (lambda at: cut(at, INDEX, 100), f"{INDEX} is no JSON"),
    "index without map": (lambda at: (at / INDEX).write_text("{}"), f"{INDEX} has no weight_map"),
    "index to elsewhere": (
        lambda at: (at / INDEX).write_text('{"weight_map": {"a": "../b.safetensors"}}'),
        "names '../b.safetensors', which is no safetensors file of it",
    ),
    "index to a pickle": (
        lambda at: (at / INDEX).write_text('{"weight_map": {"a": "a.bin"}}'),
        "names 'a.bin', which is no safetensors file of it",
    ),
    "a tensor not in its shard": (
        lambda at: with_header(at, LAST),
        f"{LAST} lacks ",
    ),
    "cut off": (lambda at: cut(at, FIRST, 1 << 30), f"{FIRST} is damaged: it has 1073741824 of "),
    "empty": (lambda at: cut(at, FIRST, 0), f"{FIRST} is damaged: it is shorter than"),
    "longer": (lambda at: cut(at, FIRST, 6 << 30), f"{FIRST} is damaged: it has 6442450944 of "),
    "header garbage": (garbage, f"{FIRST} is damaged: its header is no JSON"),
    "header too long": (
        lambda at: set_length(at, 1 << 62),
        f"{FIRST} is damaged: it does not begin with the length of a header",
    ),
    "header longer than file": (
        steps(lambda at: cut(at, FIRST, 1000), lambda at: set_length(at, 5000)),
        f"{FIRST} is damaged: its header has 5000 bytes, the file 1000",
    ),
    "header a list": (
        lambda at: (at / FIRST).write_bytes((2).to_bytes(8, "little") + b"[]"),
        f"{FIRST} is damaged: its header is no JSON object",
    ),
    "pointer of Git LFS": (pointer, "it is a pointer of Git LFS, not the file"),
    "a folder as file": (
        steps(remove(FIRST), lambda at: (at / FIRST).mkdir()),
        f"its index names 1 file ({FIRST}) missing",
    ),
    "tensor without shape": (
        lambda at: with_header(at, FIRST, shape=None),
        "its header does not describe the tensor w",
    ),
    "unknown type": (
        lambda at: with_header(at, FIRST, dtype="Q9"),
        "the tensor w is of an unknown type, Q9",
    ),
    "shape and bytes differ": (
        lambda at: with_header(at, FIRST, shape=[5]),
        "the tensor w has 8 bytes for its shape",
    ),
    "overlap": (lambda at: two_tensors(at, [4, 12]), "its tensors overlap, or leave gaps"),
    "gap": (lambda at: two_tensors(at, [16, 24]), "its tensors overlap, or leave gaps"),
    "a tensor gone": (
        lambda at: without(at, f"{LAYER}.self_attn.q_proj"),
        f"it lacks 1 tensor ({LAYER}.self_attn.q_proj.weight)",
    ),
    "a layer gone": (lambda at: without(at, f"{LAYER}."), "it lacks 9 tensors (model.layers.3."),
    "no tokenizer": (remove("tokenizer.json"), "it has no tokenizer"),
    "tokenizer cut off": (lambda at: cut(at, "tokenizer.json", 5), "tokenizer.json is no JSON"),
    "tokenizer empty": (lambda at: cut(at, "tokenizer.json", 0), "tokenizer.json is empty"),
    "tokenizer without model": (
        lambda at: (at / "tokenizer.json").write_text("{}"),
        "tokenizer.json has no model",
    ),
    "no template": (
        remove("chat_template.jinja"),
        "it has no chat template, so it is a base model",
    ),
    "template no Jinja": (
        lambda at: (at / "chat_template.jinja").write_text("a\n{% for x %}"),
        "its chat template is no Jinja: line 2: ",
    ),
    "template no text": (
        lambda at: (at / "chat_template.jinja").write_bytes(b"\xff"),
        "chat_template.jinja cannot be read",
    ),
    "tokenizer_config.json no JSON": (
        steps(
            remove("chat_template.jinja"),
            lambda at: (at / "tokenizer_config.json").write_text("{"),
        ),
        "tokenizer_config.json is no JSON",
    ),
    "adapter without base": (
        steps(remove("*"), lambda at: (at / "adapter_config.json").write_text("{}")),
        "it is a LoRA adapter",
    ),
    "quantised, unsaid": (
        steps(remove("*.safetensors"), lambda at: write_sparse(at, {"w": [64, 64]}, dtype="I16")),
        "it has tensors of quantised types (1 of I16)",
    ),
}


@pytest.mark.parametrize(("damage", "problem"), DAMAGE.values(), ids=list(DAMAGE))
def test_damage_is_told_in_one_line(
    folder: Path,
    problems: Callable[[], list[str]],
    damage: Change,
    problem: str,
) -> None:
    damage(folder)

    found = problems()

    assert problem in found[0]
    assert all(text.isprintable() and len(text) < 400 for text in found)


def test_nothing_is_said_of_a_whole_checkpoint(problems: Callable[[], list[str]]) -> None:
    assert problems() == []


def test_several_problems_are_told_at_once(folder: Path, problems: Callable[[], list[str]]) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "chat_template.jinja").unlink()
    (folder / LAST).unlink()

    assert [text.split(" (")[0] for text in problems()] == [
        "its index names 1 file",
        "it has no tokenizer",
        "it has no chat template, so it is a base model, which continues text and answers no "
        "messages: take the version that was trained for chats",
    ]


def test_files_that_no_index_names_are_not_read(
    folder: Path, problems: Callable[[], list[str]]
) -> None:
    (folder / "consolidated.safetensors").write_bytes(b"another format")

    assert problems() == []


def test_a_template_of_the_settings_stands_in_for_a_missing_one(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (folder / "chat_template.jinja").unlink()
    template = tmp_path_factory.mktemp("template") / "chat.jinja"
    template.write_text("{{ messages }}")

    assert list(examine(Checkpoint.of_folder(folder, other_template=template))) == []


def test_neither_torch_nor_weights_are_loaded(folder: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from worker.engine.checkpoint.examine import examine\n"
        "from worker.engine.checkpoint.files import Checkpoint\n"
        f"assert not list(examine(Checkpoint.of_folder(Path({str(folder)!r}))))\n"
        "assert not {'torch', 'transformers'} & sys.modules.keys()\n"
    )

    result = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)

    assert result.returncode == 0, result.stderr.decode()
