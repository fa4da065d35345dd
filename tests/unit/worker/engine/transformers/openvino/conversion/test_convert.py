import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import openvino.tools.ovc.telemetry_utils
import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.unit.worker.engine.tiny_architectures import FULL_ATTENTION
from worker.engine.interface import EngineConfig
from worker.engine.transformers.openvino.conversion.convert import convert

COMPUTE = """
import gc, sys
from pathlib import Path
from tests.unit.worker.engine.transformers.openvino.conftest import logits_of
from worker.engine.interface import EngineConfig
from worker.engine.transformers.model.forward_check import deviation
from worker.engine.transformers.openvino.conversion.convert import convert
network = convert(EngineConfig(folder=Path(sys.argv[1]), kv_cache_bytes=1, max_sequences=1))
gc.collect()
print(deviation(network.reference, logits_of(network)).agreement)
"""


def save(folder: Path, dtype: torch.dtype, **settings: Any) -> EngineConfig:
    torch.manual_seed(1)
    auto: Any = AutoModelForCausalLM
    model = auto.from_config(deepcopy(FULL_ATTENTION["qwen3"]), dtype=dtype)
    model.generation_config.update(**settings)
    model.save_pretrained(folder)
    return EngineConfig(folder=folder, kv_cache_bytes=1, max_sequences=1)


def test_a_network_says_what_is_not_in_its_graph(tmp_path: Path) -> None:
    network = convert(save(tmp_path, torch.float32, eos_token_id=[7, 9]))

    assert network.vocab_size == 128
    assert network.eos_token_ids == {7, 9}
    assert network.max_positions == FULL_ATTENTION["qwen3"].max_position_embeddings
    assert network.reference.shape == (20, 128)


def test_a_graph_keeps_the_weights_that_it_shares_with_the_model(tmp_path: Path) -> None:
    """Run in a process of its own, since an error would read freed memory."""
    save(tmp_path, torch.bfloat16)
    command = [sys.executable, "-c", COMPUTE, str(tmp_path)]

    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert (done.returncode, done.stdout) == (0, "1.0\n"), done.stderr


def test_converting_tells_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Check that conversion sends no usage data, unlike OpenVINO's own function for it."""

    def report(*_: Any, **__: Any) -> None:
        raise AssertionError("reported")

    monkeypatch.setattr(openvino.tools.ovc.telemetry_utils.tm, "Telemetry", report)

    convert(save(tmp_path, torch.float32))

    with pytest.raises(AssertionError, match="reported"):
        openvino.convert_model(torch.nn.Linear(2, 2), example_input=torch.zeros(1, 2))
