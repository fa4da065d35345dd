"""Networks whose forward never waits for the device, as CUDA graph capture demands.

The network is on the meta device, where tensors have shapes and no contents: reading a number is an
error, and so is a tensor whose size depends on the values of another. Copies from the host to the
device are found among the operators.
"""

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import AutoModelForCausalLM, LlamaConfig
from transformers.masking_utils import AttentionMaskInterface

from tests.unit.worker.engine.tiny_architectures import FULL_ATTENTION
from tests.unit.worker.engine.tiny_networks import SIZES
from worker.engine.transformers.model.checks import layer_shapes
from worker.engine.transformers.torch_forward.attention import (
    ATTENTION_NAME,
    KeyValuePool,
    register_attention,
)
from worker.engine.transformers.torch_forward.fused_step import StepShape, fused_inputs

# Phi-3.5-MoE computes its rotary frequencies anew in every step, on the host.
CAPTURABLE = {name: config for name, config in FULL_ATTENTION.items() if name != "phimoe"}
META = torch.device("meta")
BLOCK_SIZE = 16
NUM_ROWS = 3


class OnDeviceOnly(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Torch mode that refuses operators which take a tensor of the host, or make one."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, output)) if isinstance(leaf, Tensor)]
        assert all(tensor.device == META for tensor in tensors), f"{func} touches the host"
        return output


class NothingFromTheHost(TorchFunctionMode):
    """Torch mode that refuses tensors made of host numbers, whose copy no operator shows."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func not in (torch.tensor, torch.as_tensor, torch.from_numpy)
        return func(*args, **(kwargs or {}))


@pytest.fixture(autouse=True)
def _no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the Triton kernels, which need no check: they compute on the device."""
    for name in ("attend_decodes", "attend_prefills"):
        monkeypatch.setattr(
            f"worker.engine.transformers.torch_forward.fused_step.{name}", lambda *_tensors: None
        )


@torch.inference_mode()
def decode(config: Any) -> Tensor:
    """Run a decode step with one token per row, laid out as for a graph; return its logits."""
    register_attention()
    auto: Any = AutoModelForCausalLM
    model = auto.from_config(deepcopy(config), attn_implementation=ATTENTION_NAME).eval()
    layers = layer_shapes(model)
    model = model.to(META, torch.bfloat16)
    pool = KeyValuePool(layers, 4 * BLOCK_SIZE, torch.bfloat16, META)
    shape = StepShape.of_decodes(NUM_ROWS)
    indices = torch.zeros(shape.num_indices + NUM_ROWS, dtype=torch.int32, device=META)
    with NothingFromTheHost(), OnDeviceOnly():  # type: ignore[no-untyped-call]
        inputs = fused_inputs(indices, shape, pool, BLOCK_SIZE)
        output = model(
            input_ids=inputs.token_ids,
            position_ids=inputs.positions,
            use_cache=False,
            logits_to_keep=inputs.sampled_rows,
            paged=inputs.attention,
        )
    logits: Tensor = output.logits[0].float()
    return logits


@pytest.mark.parametrize("config", CAPTURABLE.values(), ids=list(CAPTURABLE))
def test_a_step_of_decodes_stays_on_its_device(config: Any) -> None:
    assert decode(config).shape == (NUM_ROWS, config.vocab_size)


def test_a_mask_of_transformers_would_not(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {ATTENTION_NAME: lambda *_arguments, **_options: None}
    monkeypatch.setattr(
        AttentionMaskInterface,
        "_global_mapping",
        {**AttentionMaskInterface._global_mapping, **known},
    )

    with pytest.raises((RuntimeError, AssertionError)):
        decode(LlamaConfig(**SIZES))
