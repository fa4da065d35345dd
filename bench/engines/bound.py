"""Bound on the speed of decoding set by memory bandwidth.

A decode step reads all weights once, and the keys and values of every sequence. The bandwidth is
measured, not assumed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from bench.engines.batches import FullSteps, clock_of
from worker.engine.transformers.device import resolve_dtype

_NUM_TRIES = 10
# Far more than the caches of the device hold.
_BYTES = {"cpu": 2**28, "cuda": 2**31}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """Memory bandwidth and bytes to read, from which the least time of a step follows."""

    bytes_per_s: float
    weights_bytes: int
    token_bytes: int
    """Bytes of the keys and values of one token in all layers."""

    @classmethod
    def of(cls, folder: Path, device: str, dtype: str) -> "Bound":
        """Measure the bandwidth of `device`, and take the sizes from config.json in `folder`."""
        config: Any = AutoConfig.from_pretrained(folder, local_files_only=True)
        resolved = resolve_dtype(dtype, torch.device(device))
        return cls(
            bytes_per_s=read_speed(device),
            weights_bytes=weights_bytes(config, resolved),
            token_bytes=token_bytes(config, resolved),
        )

    def seconds(self, steps: FullSteps) -> float:
        """Return the seconds that the memory reads of `steps` take by themselves."""
        num_bytes = steps.num_steps * self.weights_bytes + steps.num_read * self.token_bytes
        return num_bytes / self.bytes_per_s


def weights_bytes(config: Any, dtype: torch.dtype) -> int:
    """Return the bytes of weights that a decode step reads.

    Input embeddings do not count, because a step reads only a few rows of them, unless the output
    layer shares them.
    """
    loader: Any = AutoModelForCausalLM
    with torch.device("meta"):
        model = loader.from_config(config, dtype=dtype)
    embeddings: Tensor = model.get_input_embeddings().weight
    is_shared = config.get_text_config().tie_word_embeddings
    num_weights = sum(parameter.numel() for parameter in model.parameters())
    return int(num_weights - (0 if is_shared else embeddings.numel())) * dtype.itemsize


def token_bytes(config: Any, dtype: torch.dtype) -> int:
    """Return the bytes of the keys and values of one token in all layers."""
    text = config.get_text_config()
    size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return int(2 * text.num_hidden_layers * text.num_key_value_heads * size * dtype.itemsize)


def read_speed(device: str, num_bytes: int | None = None) -> float:
    """Measure the memory bandwidth of `device` in bytes per second by `clock_of(device)`.

    The fastest of several passes over `num_bytes`, of a sum, which only reads, or of a copy, which
    reads and writes, whichever moves more bytes per second.
    """
    values = torch.ones((num_bytes or _BYTES[device]) // 4, device=device)
    copy = torch.empty_like(values)
    size = values.numel() * values.itemsize
    read_s = _fastest(device, lambda: values.sum())
    copy_s = _fastest(device, lambda: copy.copy_(values))
    return max(size / read_s, 2 * size / copy_s)


def _fastest(device: str, work: Callable[[], Tensor]) -> float:
    clock = clock_of(device)
    times = []
    for _ in range(_NUM_TRIES):
        _synchronize(device)
        began = clock()
        work()
        _synchronize(device)
        times.append(clock() - began)
    return min(times)


def _synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
