"""Memory that networks take in a process, measured in this one, a child of `bench.memory.growth`.

Arguments: the folders of a small and a large network, the forward pass, and the type. Prints by how
many bytes the process grows with each of the two, and the bytes of their caches. Counted is memory
in use: pages of files that a load has read, and nothing needs any more, are left out, as the
operating system takes them back at any time, and so is freed memory, which is reused. Both folders
lie in one.
"""

import ctypes
import gc
import json
import os
import sys
from multiprocessing import get_context
from pathlib import Path
from shutil import copytree
from typing import Any

import torch

from worker.engine.interface import EngineConfig, GenerationRequest
from worker.engine.params import SamplingParams
from worker.engine.sequence import Sequence as EngineSequence
from worker.engine.transformers.batch.blocks import BlockPool
from worker.engine.transformers.batch.chunk import Chunk
from worker.engine.transformers.batch.packing import pack
from worker.engine.transformers.forward import Forward
from worker.engine.transformers.model_runner import load_forward
from worker.engine.transformers.openvino.forward import prepare_network
from worker.engine.transformers.openvino.store import is_converted

_MADV_PAGEOUT = 21
_NUM_CACHED = 256
"""Tokens of a cache: few, as it is not what is measured."""
_ITEM_BYTES = 4
_NUM_PROMPT = 128


def main(small: Path, large: Path, forward: Any, dtype: Any) -> None:
    """Load both networks, one after the other, and print what they take."""
    # All stay, as one could reuse what another leaves. What libraries allocate once goes to a first
    # one that is not measured; it has files of its own, as mappings of the same ones share pages.
    loaded = [_load(_config(_copy_of(small, forward, dtype), forward, dtype))]
    figures = []
    for folder in (small, large):
        config = _config(folder, forward, dtype)
        before = _bytes_in_use(small.parent)
        loaded.append(_load(config))
        figures += [_bytes_in_use(small.parent) - before, config.kv_cache_bytes]
    print(*figures)


def _copy_of(folder: Path, forward: Any, dtype: Any) -> Path:
    _convert_apart(_config(folder, forward, dtype))
    return Path(copytree(folder, folder.with_name("first"), dirs_exist_ok=True))


def convert(folder: Path, dtype: str) -> None:
    """Convert a network for OpenVINO."""
    prepare_network(_config(folder, "openvino", dtype))


def _config(folder: Path, forward: Any, dtype: Any) -> EngineConfig:
    return EngineConfig(
        folder=folder,
        graph_folder=folder / "openvino",
        kv_cache_bytes=_cache_bytes(folder),
        max_sequences=1,
        dtype=dtype,
        forward=forward,
    )


def _load(config: EngineConfig) -> Forward:
    """Load a network, and compute a prompt."""
    _convert_apart(config)
    os.sync()  # Pages that are not written yet cannot be given up.
    forward = load_forward(config)
    gc.collect()
    _page_out(config.folder)
    prompt = list(range(_NUM_PROMPT))
    params = SamplingParams(max_tokens=1)
    sequence = EngineSequence(GenerationRequest(sequence_id="", prompt=prompt, params=params))
    assert BlockPool(forward.num_blocks, forward.block_size).grow(sequence, len(prompt))
    with torch.inference_mode():
        logits = forward(pack([Chunk(sequence, len(prompt))], forward.block_size))
    assert logits.isfinite().all()
    return forward


def _convert_apart(config: EngineConfig) -> None:
    """Convert a network for OpenVINO, if needed, without growth of this process."""
    if config.forward == "openvino" and not is_converted(config):
        process = get_context("spawn").Process(target=convert, args=(config.folder, config.dtype))
        process.start()
        process.join()
        assert process.exitcode == 0, config


def _page_out(folder: Path) -> None:
    """Give up the pages of mapped files in a folder; those in use are read again."""
    madvise = ctypes.CDLL(None, use_errno=True).madvise
    for line in Path("/proc/self/maps").read_text().splitlines():
        if str(folder) not in line:
            continue
        first, last = (int(address, 16) for address in line.split()[0].split("-"))
        if madvise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), _MADV_PAGEOUT):
            raise OSError(ctypes.get_errno(), "madvise")


def _bytes_in_use(folder: Path) -> int:
    """Return the bytes of memory that are this process's own, or of files in a folder, mapped.

    Without freed memory, and without libraries, whose pages the operating system takes back while
    they are not used.
    """
    ctypes.CDLL(None).malloc_trim(0)
    num_kib, is_in_folder = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        name, *rest = line.split()
        if not name.endswith(":"):
            is_in_folder = str(folder) in line
        elif name == ("Rss:" if is_in_folder else "Anonymous:"):
            num_kib += int(rest[0])
    return 1024 * num_kib


def _cache_bytes(folder: Path) -> int:
    config = json.loads((folder / "config.json").read_text())
    num_keys = config["num_key_value_heads"] * config["head_dim"] * config["num_hidden_layers"]
    return 2 * int(num_keys) * _ITEM_BYTES * _NUM_CACHED


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
