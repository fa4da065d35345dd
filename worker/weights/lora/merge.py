"""Merge of an adapter into its base model: a folder of whole weights, as any other."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from worker.engine.checkpoint.files import INDEX, Checkpoint
from worker.engine.checkpoint.weight_files import read_files
from worker.weights.lora.adapter import WEIGHTS, Adapter
from worker.weights.lora.base import OF_TEXT, check_merge


def merge(adapter: Adapter, base: Checkpoint, folder: Path) -> None:
    """Write the base model with the adapter's changes to a folder; raise `BadCheckpointError`."""
    places = check_merge(adapter, base)
    names = {place: name for name, place in places.items()}
    with safe_open(adapter.folder / WEIGHTS, framework="pt") as changes:
        for name in read_files(base):
            merged = dict(_merged(adapter, base.folder / name, names, changes))
            save_file(merged, folder / name, {"format": "pt"})
    for source in (base.folder, adapter.folder):
        for file in source.iterdir():
            is_text = file.name.startswith(OF_TEXT)
            if file.is_file() and (is_text or (source == base.folder and _is_config(file.name))):
                shutil.copy(file, folder / file.name)
    for path in folder.iterdir():
        path.chmod(0o644)


def _is_config(name: str) -> bool:
    return name == INDEX or (name.endswith(".json") and not name.endswith(".index.json"))


def _merged(
    adapter: Adapter, file: Path, names: dict[str, str], changes: Any
) -> Iterator[tuple[str, Tensor]]:
    with safe_open(file, framework="pt") as stored:
        for key in stored.keys():  # noqa: SIM118 - it is no dict
            tensor = stored.get_tensor(key)
            name = names.get(key)
            yield key, tensor if name is None else _change(adapter, name, tensor, changes)


@torch.inference_mode()
def _change(adapter: Adapter, name: str, tensor: Tensor, changes: Any) -> Tensor:
    """Return a tensor of the base model as the adapter changes it, computed in float32."""
    if name in adapter.replacements:
        replaced: Tensor = changes.get_tensor(adapter.replacements[name]).to(tensor.dtype)
        return replaced
    update = adapter.updates[name.removesuffix(".weight")]
    down = changes.get_tensor(update.down).float()
    up = changes.get_tensor(update.up).float()
    product = up @ down
    if update.is_embedding or adapter.is_transposed:
        product = product.T
    changed: Tensor = (tensor.float() + update.scale * product).to(tensor.dtype)
    return changed
