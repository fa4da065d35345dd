"""Networks without numbers: layers are found as those of the real network are."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.unit.worker.engine.state_architectures import WITH_STATES
from tests.unit.worker.engine.tiny_architectures import ONLY_IN_TORCH, WITH_WINDOWS
from tests.unit.worker.engine.tiny_networks import saved
from worker.engine.checkpoint.files import Checkpoint
from worker.engine.interface import EngineConfig
from worker.engine.transformers.model.checks import layer_shapes
from worker.engine.transformers.model.loader import load_network
from worker.engine.transformers.model.preview.dry_run import DryRun, activations_device
from worker.engine.transformers.model.preview.network_check import read_config
from worker.engine.transformers.model.preview.skeleton import Skeleton
from worker.engine.transformers.torch_forward.mixers import Mixers, StateRecorder

CONFIGS = {
    "gemma2": ONLY_IN_TORCH["gemma2"],
    "gpt_oss": WITH_WINDOWS["gpt_oss"],
    "mixtral": WITH_WINDOWS["mixtral"],
    "lfm2": WITH_STATES["lfm2"],
    "qwen3_next": WITH_STATES["qwen3_next"],
}


def found_in(model: Any) -> tuple[Any, Any]:
    mixers, recorder = Mixers(model), StateRecorder()
    with mixers.computing(recorder):
        return layer_shapes(model, mixers.layers), recorder.shapes


@pytest.mark.parametrize("config", CONFIGS.values(), ids=list(CONFIGS))
def test_layers_and_states_are_those_of_the_real_network(config: Any, tmp_path: Path) -> None:
    saved(config, tmp_path)
    settings = EngineConfig(folder=tmp_path, kv_cache_bytes=1, max_sequences=1)
    real = load_network(settings, torch.bfloat16, torch.device("cpu"))
    checkpoint = Checkpoint.of_folder(tmp_path)

    skeleton = Skeleton(checkpoint, read_config(checkpoint), has_tensors=True)
    with torch.inference_mode(), DryRun():
        found = found_in(skeleton.model)

    assert activations_device(skeleton.model).type == "cpu"
    assert all(parameter.is_meta for parameter in skeleton.model.parameters())
    assert found == found_in(real)


def test_numbers_of_activations_are_computed_and_those_of_weights_are_not() -> None:
    layer = nn.Linear(3, 2, device="meta")
    rows = torch.arange(6.0).view(2, 3)

    with torch.inference_mode(), DryRun():
        assert (rows.to(layer.weight.device) + 1).tolist() == [[1, 2, 3], [4, 5, 6]]
        assert layer(rows).tolist() == [[0, 0], [0, 0]]
        assert layer.weight.to("cpu").tolist() == [[0] * 3] * 2
        assert (layer.weight * torch.tensor(2.0)).is_meta
        assert rows.clone().add_(layer.bias.sum()).tolist() == rows.tolist()
