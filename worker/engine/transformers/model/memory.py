"""Whether weights and cache fit, asked before anything is loaded.

Without this the kernel kills the process in the middle of loading, or of the first long answer.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from worker.engine.interface import ModelTooLargeError

_ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
_ITEM_BYTES |= {"I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
_CGROUP = Path("/sys/fs/cgroup")
_GIB = 2**30


def check_fits(weights_bytes: int, kv_cache_bytes: int, free_bytes: int) -> None:
    """Raise `ModelTooLargeError`, with all three figures, unless both fit into what is free."""
    if weights_bytes + kv_cache_bytes <= free_bytes:
        return
    raise ModelTooLargeError(
        f"the weights need {weights_bytes / _GIB:.2f} GiB and the cache for keys and values "
        f"{kv_cache_bytes / _GIB:.2f} GiB, but only {free_bytes / _GIB:.2f} GiB are free: "
        "take a smaller model or a smaller cache (ANTIPHON_KV_CACHE_GIB)"
    )


def stored_weights_bytes(folder: Path, dtype: torch.dtype | None) -> int:
    """Bytes of all weights in a folder of safetensors once they are of `dtype`; None: as stored."""
    total = 0
    for name, num_bytes in _stored_tensors(folder):
        scale = dtype.itemsize / _ITEM_BYTES.get(name, 1) if dtype else 1
        total += int(num_bytes * scale)
    return total


def num_stored_weights(folder: Path) -> int:
    """Count the numbers in a folder of safetensors."""
    return sum(size // _ITEM_BYTES.get(name, 1) for name, size in _stored_tensors(folder))


def stored_dtype(folder: Path) -> torch.dtype:
    """The type that most of the weights in a folder are stored in, if it is bfloat16 or float16;
    else float32."""
    sizes: Counter[str] = Counter()
    for name, num_bytes in _stored_tensors(folder):
        sizes[name] += num_bytes
    most = max(sizes, key=sizes.__getitem__, default="")
    return {"BF16": torch.bfloat16, "F16": torch.float16}.get(most, torch.float32)


def safetensors_header(file: Path) -> dict[str, Any]:
    """Return what the header says of each tensor (the format is a length, JSON, then data)."""
    with file.open("rb") as opened:
        header: dict[str, Any] = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
    header.pop("__metadata__", None)
    return header


def _stored_tensors(folder: Path) -> Iterator[tuple[str, int]]:
    """Type and bytes of each."""
    for file in folder.glob("*.safetensors"):
        for tensor in safetensors_header(file).values():
            start, end = tensor["data_offsets"]
            yield tensor["dtype"], end - start


def free_bytes(device: torch.device) -> int:
    """Bytes that can still be taken: of the GPU, or of the machine or its container."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return free_cpu_bytes()


def free_cpu_bytes() -> int:
    """Bytes that can still be taken of the machine's memory, or of its container's."""
    lines = Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").exists() else []
    available = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")]
    return min([*available, *_container_bytes()], default=1 << 62)


def _container_bytes() -> list[int]:
    """What the container of this process may still take, if it has a limit (cgroup v2)."""
    limit, used = _CGROUP / "memory.max", _CGROUP / "memory.current"
    if not limit.exists() or (text := limit.read_text().strip()) == "max":
        return []
    return [max(0, int(text) - int(used.read_text()))]
