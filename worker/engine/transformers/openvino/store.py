"""Converted networks on disk: a folder each, complete or not there at all."""

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path

import numpy as np

from worker.engine.interface import EngineConfig
from worker.engine.transformers.model.memory import safetensors_header
from worker.engine.transformers.openvino.graph_file import read_graph, write_graph
from worker.engine.transformers.openvino.network import Network
from worker.engine.transformers.openvino.precision import Weights

_FORMAT = 1
"""Of what `write_network` writes and of how graphs are made; another is converted anew."""
_PACKAGES = ("openvino", "torch", "transformers")
_CONFIGS = ("config.json", "generation_config.json")
_GRAPH, _WEIGHTS, _REFERENCE = "graph.xml", "graph.bin", "reference.npy"
_MANIFEST = "manifest.json"


def network_folder(config: EngineConfig, kind: Weights) -> Path:
    """Return where the network of a configuration lies or will lie, its weights of that kind."""
    assert config.graph_folder is not None
    return config.graph_folder / f"{kind}-{_key(config)}"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from writing the folder; they wait."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def read_network(folder: Path) -> Network | None:
    """Return the network in a folder; None if there is none, or it is damaged."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text())
        for name, size in manifest["sizes"].items():
            if (folder / name).stat().st_size != size:
                return None
        return Network(
            graph=read_graph(folder / _GRAPH),
            source=None,
            vocab_size=int(manifest["vocab_size"]),
            eos_token_ids=frozenset(manifest["eos_token_ids"]),
            max_positions=manifest["max_positions"],
            reference=np.load(folder / _REFERENCE, allow_pickle=False),
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return None


def write_network(network: Network, folder: Path) -> None:
    """Write it beside its place, then move it there; others of that kind are deleted.

    The network's graph can't be computed afterwards. Raises `OSError`.
    """
    draft = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    write_graph(network.graph, draft / _GRAPH)
    np.save(draft / _REFERENCE, network.reference)
    sizes = {name: (draft / name).stat().st_size for name in (_GRAPH, _WEIGHTS, _REFERENCE)}
    manifest = {
        "vocab_size": network.vocab_size,
        "eos_token_ids": sorted(network.eos_token_ids),
        "max_positions": network.max_positions,
        "sizes": sizes,
    }
    (draft / _MANIFEST).write_text(json.dumps(manifest))
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)
    kind = folder.name.rpartition("-")[0]
    for other in folder.parent.glob(f"{kind}-*"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)


def _key(config: EngineConfig) -> str:
    """Names weights, configuration and versions; weights by their headers, sizes and times, as
    reading all of them takes longer than loading."""
    digest = blake2b(digest_size=10)
    digest.update(repr((_FORMAT, [version(name) for name in _PACKAGES])).encode())
    for name in _CONFIGS:
        file = config.folder / name
        digest.update(file.read_bytes() if file.exists() else b"none")
    for file in sorted(config.folder.glob("*.safetensors")):
        found = file.stat()
        digest.update(repr((file.name, found.st_size, found.st_mtime_ns)).encode())
        digest.update(json.dumps(safetensors_header(file)).encode())
    return digest.hexdigest()
