import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.refusals.sparse_weights import llama_shapes, write_sparse
from worker.engine.checkpoint.examine import examine
from worker.engine.checkpoint.files import Checkpoint

CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "num_hidden_layers": 8,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder that has all a served model has, with weights of 8 layers in sparse files."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"type": "BPE"}}))
    (tmp_path / "chat_template.jinja").write_text("{{ messages[0].content }}")
    write_sparse(tmp_path, llama_shapes(8))
    return tmp_path


@pytest.fixture
def problems(folder: Path) -> Callable[[], list[str]]:
    """Return a function that returns the problems of the folder."""
    return lambda: [fault.problem for fault in examine(Checkpoint.of_folder(folder))]
