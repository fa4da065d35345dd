"""Ways in which the folder of a model is made: from the hub, a GGUF file, or an adapter.

Each looks at what is small first, and raises `WeightsError` for a model that would not be served.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

from models.profile.weights import Weights
from models.settings import Settings
from worker.engine.checkpoint.adapter import ADAPTER
from worker.engine.checkpoint.files import CONFIG, Checkpoint
from worker.engine.checkpoint.weight_files import read_files
from worker.engine.interface import BadCheckpointError, ModelTooLargeError, UnsupportedModelError
from worker.engine.transformers.device import resolve_device, resolve_dtype
from worker.weights.builtin import fetch_builtin
from worker.weights.errors import HubError, WeightsError
from worker.weights.gguf.convert import Conversion
from worker.weights.huggingface import (
    Advance,
    HubModel,
    fetch_small_files,
    fetch_weights,
    look_up,
)
from worker.weights.lora.adapter import WEIGHTS as ADAPTER_WEIGHTS
from worker.weights.lora.adapter import read_adapter
from worker.weights.lora.base import check_merge, locate_base
from worker.weights.lora.merge import merge
from worker.weights.room import check_before_download

Step = Callable[[str], AbstractContextManager[Advance]]
"""Context manager that displays the named step as in progress; yields its progress callback."""
Prepare = Callable[[Settings, Weights, Step], None]
"""Function that makes the folder of another model, the base of an adapter."""


def fetch_from_hub(settings: Settings, folder: Path, step: Step, prepare: Prepare) -> None:
    """Download a model of the Hugging Face Hub, or merge the adapter that it is."""
    model = settings.model
    with refusing(model, folder):
        with step(f"looking at {model}"):
            found = look_up(model)
            checkpoint = fetch_small_files(found, folder)
        if ADAPTER in found.sizes and CONFIG not in found.sizes:
            _merge_from_hub(settings, found, folder, step, prepare)
            return
        checkpoint = replace(checkpoint, other_template=settings.chat_template)
        check_before_download(checkpoint, settings)
        with step(f"fetching {model}") as advance:
            fetch_weights(found, folder, read_files(checkpoint), advance)


def convert_gguf(settings: Settings, weights: Weights, folder: Path, step: Step) -> None:
    """Write a GGUF file, or that of the built-in model, as safetensors to a new folder."""
    with (
        _gguf_file(settings, weights) as file,
        refusing(file, folder),
        step(f"converting {file.name}"),
    ):
        dtype = resolve_dtype(settings.dtype, resolve_device(settings.device))
        conversion = Conversion(file)
        folder.mkdir()
        checkpoint = conversion.write_small_files(folder, dtype)
        check_before_download(replace(checkpoint, other_template=settings.chat_template), settings)
        conversion.write_weights(folder, dtype)


def merge_adapter(
    source: Path, settings: Settings, folder: Path, step: Step, prepare: Prepare
) -> None:
    """Fetch the base model of an adapter if need be, and write both merged to a new folder."""
    with refusing(source, folder):
        adapter = read_adapter(source)
        base_settings, base_weights = locate_base(adapter, settings)
        prepare(base_settings, base_weights, step)
        base = Checkpoint.of_folder(base_weights.folder)
        check_merge(adapter, base)
        folder.mkdir()
        with step(f"merging {source.name} into {base_weights.model_id}"):
            merge(adapter, base, folder)


def _merge_from_hub(
    settings: Settings, found: HubModel, folder: Path, step: Step, prepare: Prepare
) -> None:
    if ADAPTER_WEIGHTS not in found.sizes:
        raise BadCheckpointError(f"the adapter has no {ADAPTER_WEIGHTS}")
    source = folder.with_name(f"{folder.name}.adapter")
    shutil.rmtree(source, ignore_errors=True)
    folder.rename(source)
    with step(f"fetching {settings.model}") as advance:
        fetch_weights(found, source, [ADAPTER_WEIGHTS], advance)
    merge_adapter(source, settings, folder, step, prepare)
    shutil.rmtree(source)


@contextmanager
def refusing(name: object, folder: Path) -> Iterator[None]:
    """Turn the reason why a model is not served into `WeightsError`, and remove its folder."""
    try:
        yield
    except HubError as error:
        raise WeightsError(f"ANTIPHON_MODEL: {error}") from error
    except (UnsupportedModelError, ModelTooLargeError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise WeightsError(f"{name} cannot be served: {error}") from error


@contextmanager
def _gguf_file(settings: Settings, weights: Weights) -> Iterator[Path]:
    if weights.source != "builtin":
        file = Path(settings.model).expanduser()
        if not file.is_file():
            raise WeightsError(f"ANTIPHON_MODEL: there is no file {file}")
        yield file
        return
    download = weights.folder.with_name(f".{weights.folder.name}.download")
    shutil.rmtree(download, ignore_errors=True)
    download.mkdir()
    try:
        yield fetch_builtin(download)
    finally:
        shutil.rmtree(download, ignore_errors=True)
