"""Judgement of a model before it is served: if it runs, how, in how much memory, and what is wrong.

Nothing is downloaded but the small files of a model on the hub, and no weights are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from models.profile.weights import Weights, locate_weights
from models.settings import Settings
from worker.engine.checkpoint.adapter import ADAPTER
from worker.engine.checkpoint.examine import Fault, checks_of, examine
from worker.engine.checkpoint.files import CONFIG, Checkpoint
from worker.engine.checkpoint.quantizations import find_quantization
from worker.engine.interface import BadCheckpointError

if TYPE_CHECKING:
    from worker.weights.lora.adapter import Adapter

_HARMLESS = frozenset({"chat_template"})
"""Checks whose faults leave the network to be looked at."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Faults of a model, none if it is served, and facts about it by name."""

    model: str
    folder: Path
    faults: list[Fault] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


def judge(settings: Settings) -> Judgement:
    """Judge the model that the settings name: a folder, a GGUF file, an adapter, or one of the hub.

    Raises `HubError` if the hub does not answer, or has no such model.
    """
    weights = locate_weights(settings)
    try:
        return _judge(settings, weights)
    except BadCheckpointError as error:
        return Judgement(weights.model_id, weights.folder, [Fault("files", str(error))])


def _judge(settings: Settings, weights: Weights) -> Judgement:
    with open_checkpoint(settings) as checkpoint:
        if checkpoint is None:
            problem = f"its weights are not in {weights.folder}: ./antiphon models pull"
            if weights.source == "gguf":
                problem = f"there is no file {settings.model}"
            return Judgement(weights.model_id, weights.folder, [Fault("files", problem)])
        faults = list(examine(checkpoint, checks_of(settings.engine)))
        facts: dict[str, Any] = {}
        is_ours = settings.engine == "transformers"
        if is_ours and {fault.check for fault in faults} <= _HARMLESS:
            _check_packed(checkpoint)
            # Imported here: it takes seconds, in which most faults have been told.
            from worker.weights.network_facts import describe_network

            more, facts = describe_network(checkpoint, settings)
            faults = [*more, *faults]
        return Judgement(weights.model_id, weights.folder, faults, facts)


def _check_packed(checkpoint: Checkpoint) -> None:
    """Raise `BadCheckpointError` if a quantised weight lacks a tensor."""
    if checkpoint.is_fetched and find_quantization(checkpoint.read_json(CONFIG), {}) is not None:
        # Imported here, as it loads torch.
        from worker.engine.transformers.model.quantized.footprint import footprint

        footprint(checkpoint.folder)


@contextmanager
def open_checkpoint(settings: Settings) -> Iterator[Checkpoint | None]:
    """Yield the checkpoint of the settings' model; None if it is neither here nor on the hub.

    Raises `BadCheckpointError` for a GGUF file that is not converted.
    """
    weights = locate_weights(settings)
    if weights.folder.is_dir():
        yield Checkpoint.of_folder(weights.folder, other_template=settings.chat_template)
    elif weights.source == "hub":
        from worker.weights.huggingface import fetch_small_files, look_up

        with TemporaryDirectory() as folder:
            found = fetch_small_files(look_up(settings.model), Path(folder))
            if ADAPTER in found.sizes and CONFIG not in found.sizes:
                from worker.weights.lora.adapter import read_small_adapter

                with _open_merged(read_small_adapter(found), settings) as merged:
                    yield merged
            else:
                yield replace(found, other_template=settings.chat_template)
    elif weights.source == "lora":
        from worker.weights.lora.adapter import read_adapter

        adapter = read_adapter(Path(settings.model).expanduser())
        with _open_merged(adapter, settings) as merged:
            yield merged
    elif weights.source == "gguf" and Path(settings.model).expanduser().is_file():
        with TemporaryDirectory() as folder:
            yield _convert_small_files(settings, Path(folder))
    else:
        yield None


@contextmanager
def _open_merged(adapter: Adapter, settings: Settings) -> Iterator[Checkpoint | None]:
    """Yield what an adapter is merged to; raise `BadCheckpointError` if it does not fit its base.

    Yields None if the base is neither here nor on the hub.
    """
    from worker.weights.lora.base import check_merge, locate_base, with_text_of

    base_settings, _ = locate_base(adapter, settings)
    with open_checkpoint(base_settings) as base:
        if base is None:
            yield None
            return
        if base.is_fetched and adapter.tensors:
            check_merge(adapter, base)
        with with_text_of(adapter, base) as checkpoint:
            yield checkpoint


def _convert_small_files(settings: Settings, folder: Path) -> Checkpoint:
    from worker.weights.gguf.checks.examine import examine_gguf

    file = Path(settings.model).expanduser()
    examine_gguf(file)
    # Imported here, as they load torch.
    from worker.engine.transformers.device import resolve_device, resolve_dtype
    from worker.weights.gguf.convert import Conversion

    dtype = resolve_dtype(settings.dtype, resolve_device(settings.device))
    found = Conversion(file).write_small_files(folder, dtype)
    return replace(found, other_template=settings.chat_template)
