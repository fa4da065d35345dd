"""Converted networks on disk, one folder each, which is either complete or absent."""

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
from worker.engine.transformers.model.quantized.formats import folder_format
from worker.engine.transformers.openvino.graph_file import read_graph, write_graph
from worker.engine.transformers.openvino.network import Network
from worker.engine.transformers.openvino.precision import Weights, weights_of

_FORMAT = 4
"""Version of the files and of the conversion; networks of another are converted again."""
_PACKAGES = ("openvino", "torch", "transformers")
_CONFIGS = ("config.json", "generation_config.json")
_GRAPH, _WEIGHTS, _REFERENCE = "graph.xml", "graph.bin", "reference.npy"
_MANIFEST = "manifest.json"


def network_folder(config: EngineConfig, kind: Weights) -> Path:
    """Return the folder, existing or not, of a configuration's network for a kind of weights."""
    assert config.graph_folder is not None
    return config.graph_folder / f"{kind}-{_fingerprint(config)}"


def is_converted(config: EngineConfig) -> bool:
    """Return True if the converted network is on disk."""
    return config.graph_folder is not None and network_folder(config, weights_of(config)).exists()


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Lock a folder against writes of other processes, which wait."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def read_network(folder: Path) -> Network | None:
    """Return the network in a folder, or None if it is missing or damaged."""
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
            check_length=manifest["check_length"],
            original_length=manifest["original_length"],
            reference=np.load(folder / _REFERENCE, allow_pickle=False),
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return None


def write_network(network: Network, folder: Path) -> None:
    """Write a network to a temporary folder, then rename that to `folder`.

    Deletes the other networks with weights of the same kind. The network's graph cannot be compiled
    afterwards. Raises `OSError`.
    """
    temporary = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    write_graph(network.graph, temporary / _GRAPH)
    np.save(temporary / _REFERENCE, network.reference)
    sizes = {name: (temporary / name).stat().st_size for name in (_GRAPH, _WEIGHTS, _REFERENCE)}
    manifest = {
        "vocab_size": network.vocab_size,
        "eos_token_ids": sorted(network.eos_token_ids),
        "max_positions": network.max_positions,
        "check_length": network.check_length,
        "original_length": network.original_length,
        "sizes": sizes,
    }
    (temporary / _MANIFEST).write_text(json.dumps(manifest))
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)
    kind = folder.name.rpartition("-")[0]
    for other in folder.parent.glob(f"{kind}-*"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)


def converts_to_full(config: EngineConfig) -> bool:
    """Return True for quantised weights of a kind that OpenVINO has to be given in full."""
    form = folder_format(config.folder)
    return form is not None and form.conversion == "full"


def _fingerprint(config: EngineConfig) -> str:
    """Return a hash of the weights, the model's configuration and the versions of packages.

    Weights enter by their files' headers, sizes and modification times, as hashing all of them
    would take longer than loading.
    """
    digest = blake2b(digest_size=10)
    digest.update(repr((_FORMAT, [version(name) for name in _PACKAGES])).encode())
    if converts_to_full(config):
        digest.update(b"float32" if config.dtype == "float32" else b"as stored")
    for name in _CONFIGS:
        file = config.folder / name
        digest.update(file.read_bytes() if file.exists() else b"none")
    for file in sorted(config.folder.glob("*.safetensors")):
        status = file.stat()
        digest.update(repr((file.name, status.st_size, status.st_mtime_ns)).encode())
        digest.update(json.dumps(safetensors_header(file)).encode())
    return digest.hexdigest()
