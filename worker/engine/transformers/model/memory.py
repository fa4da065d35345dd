"""Memory check before loading: weights and KV cache must fit in free memory.

Without it the kernel would kill the process during loading, or during the first long response.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from worker.engine.checkpoint.weight_files import weight_files_of
from worker.engine.interface import ModelTooLargeError

_FULL_TYPES = frozenset({"F64", "F32", "F16", "BF16"})
_CGROUP = Path("/sys/fs/cgroup")
_GIB = 2**30

_STATES_PER_SEQUENCE = 4
"""A running sequence has one state, and leaves snapshots for those that begin as it does."""
MIN_STATES = 3
"""Least number of sequences with states: the check of a loaded model computes three together."""
NUM_BLOCKS_WITHOUT_KEYS = 1 << 16
"""Blocks of a network without keys, which need no memory but their bookkeeping."""


def check_fits(weights_bytes: int, kv_cache_bytes: int, free_bytes: int) -> None:
    """Raise `ModelTooLargeError`, with all three sizes, unless weights and cache fit."""
    if weights_bytes + kv_cache_bytes <= free_bytes:
        return
    raise ModelTooLargeError(
        f"the weights need {weights_bytes / _GIB:.2f} GiB and the cache for keys and values "
        f"{kv_cache_bytes / _GIB:.2f} GiB, but only {free_bytes / _GIB:.2f} GiB are free: "
        "take a smaller model or a smaller cache (ANTIPHON_KV_CACHE_GIB)"
    )


@dataclass(frozen=True, slots=True)
class CacheSize:
    """Contents of a cache."""

    num_blocks: int
    num_states: int
    """Number of sequences and snapshots whose states it holds."""


def divide_cache(
    cache_bytes: int, *, block_bytes: int, state_bytes: int, max_sequences: int
) -> CacheSize:
    """Divide a cache between blocks of keys and values, and states of sequences.

    `state_bytes` are those of one sequence, 0 if the network keeps none. States take what sequences
    and their snapshots need, but no more than half of the cache, or all if there are no keys. Only
    those of `MIN_STATES` sequences take more. Raises `ModelTooLargeError` if that leaves no room
    for two blocks.
    """
    if not state_bytes:
        return CacheSize(cache_bytes // block_bytes, 0)
    share = cache_bytes // 2 if block_bytes else cache_bytes
    num_states = min(share // state_bytes, _STATES_PER_SEQUENCE * max_sequences)
    num_states = max(num_states, MIN_STATES)
    bytes_left = cache_bytes - num_states * state_bytes
    if bytes_left < 2 * block_bytes:
        raise ModelTooLargeError(
            f"the states of {MIN_STATES} sequences need {MIN_STATES * state_bytes / 2**20:.2f} "
            f"MiB, and the cache has {cache_bytes / 2**20:.2f} MiB: take a larger cache "
            "(ANTIPHON_KV_CACHE_GIB)"
        )
    num_blocks = bytes_left // block_bytes if block_bytes else NUM_BLOCKS_WITHOUT_KEYS
    return CacheSize(num_blocks, num_states)


def stored_bytes(folder: Path) -> int:
    """Return the bytes of all weights in a folder of safetensors as they are stored."""
    return sum(num_bytes for _, num_bytes in _stored_tensors(folder))


def stored_dtype(folder: Path) -> torch.dtype:
    """Return the type that most bytes of weights in a folder are stored in, of full weights.

    Returns float32 for any type but bfloat16 and float16.
    """
    sizes: Counter[str] = Counter()
    for name, num_bytes in _stored_tensors(folder):
        if name in _FULL_TYPES:
            sizes[name] += num_bytes
    most = max(sizes, key=sizes.__getitem__, default="")
    return {"BF16": torch.bfloat16, "F16": torch.float16}.get(most, torch.float32)


def safetensors_header(file: Path) -> dict[str, Any]:
    """Return the header of a safetensors file: an entry for each tensor, by name.

    The file is the length of the header, the header as JSON, then the data.
    """
    with file.open("rb") as opened:
        header: dict[str, Any] = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
    header.pop("__metadata__", None)
    return header


def _stored_tensors(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield the type and the size in bytes of each tensor in a folder that is read."""
    for name in weight_files_of(folder):
        for tensor in safetensors_header(folder / name).values():
            start, end = tensor["data_offsets"]
            yield tensor["dtype"], end - start


def free_bytes(device: torch.device) -> int:
    """Return the free bytes of a device: of the GPU, or of the machine or its container."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return free_cpu_bytes()


def free_cpu_bytes() -> int:
    """Return the bytes of memory that are available on the machine or in its container."""
    lines = Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").exists() else []
    available = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")]
    return min([*available, *_container_bytes()], default=1 << 62)


def total_cpu_bytes() -> int:
    """Return the bytes of memory of the machine, or that its container may use."""
    lines = Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").exists() else []
    totals = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemTotal")]
    limit = _CGROUP / "memory.max"
    if limit.exists() and (text := limit.read_text().strip()) != "max":
        totals.append(int(text))
    return min(totals, default=1 << 62)


def _container_bytes() -> list[int]:
    """Return the bytes left to this process's container (cgroup v2); empty without a limit."""
    limit, used = _CGROUP / "memory.max", _CGROUP / "memory.current"
    if not limit.exists() or (text := limit.read_text().strip()) == "max":
        return []
    return [max(0, int(text) - int(used.read_text()))]
