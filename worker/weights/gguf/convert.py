"""Conversion of a GGUF file to a folder of safetensors, with config.json and tokenizer.

The header is examined first (`checks/`), then compared with the network: no values are read of a
file that lacks tensors, or has some that the network has no place for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.core_model_loading import revert_weight_conversion

from worker.engine.checkpoint.files import WEIGHTS, Checkpoint, name_some
from worker.engine.interface import BadCheckpointError
from worker.engine.transformers.model.load_report import CONFIG_ERRORS, one_line
from worker.weights.gguf.checks.examine import Examined, examine_gguf
from worker.weights.gguf.file import first_part
from worker.weights.gguf.names import Source, TensorNames, unused_tensors
from worker.weights.gguf.safetensors import write_safetensors
from worker.weights.gguf.tokenizer import make_tokenizer
from worker.weights.gguf.transforms import Array, transform


class Conversion:
    """A GGUF file whose header has been found to describe a whole network."""

    def __init__(self, file: Path) -> None:
        """Read the header; raise `BadCheckpointError` for what is not, or not wholly, converted."""
        self._file = file
        examined = examine_gguf(file)
        self._gguf, self._architecture = examined.file, examined.architecture
        self.config, self._shapes = _make_network(examined)
        self._sources = self._check_tensors()

    def write_small_files(self, folder: Path, dtype: torch.dtype) -> Checkpoint:
        """Write configuration, tokenizer and chat template; return the checkpoint they are for."""
        make_tokenizer(first_part(self._file)).save_pretrained(folder)
        self.config.dtype = dtype
        self.config.save_pretrained(folder)
        num_weights = sum(prod(shape) for shape in self._shapes.values())
        found = Checkpoint.of_folder(folder)
        sizes = {**found.sizes, WEIGHTS: num_weights * dtype.itemsize}
        return replace(found, sizes=sizes, name=self._file.stem, is_fetched=False)

    def write_weights(self, folder: Path, dtype: torch.dtype) -> None:
        """Write the weights in `dtype`, one tensor at a time."""
        write_safetensors(folder / WEIGHTS, self._shapes, dtype, self._tensors(dtype))

    def _check_tensors(self) -> Mapping[str, Source]:
        tensors = self._gguf.tensors
        names = TensorNames(
            self._gguf.architecture, self.config.num_hidden_layers, self._architecture.joins
        )
        found = {name: names.find(name, tensors) for name in self._shapes}
        if missing := [name for name, source in found.items() if source is None]:
            raise BadCheckpointError(f"it lacks {name_some(missing, 'tensors')}")
        sources = {name: source for name, source in found.items() if source is not None}
        is_left_out = self._architecture.left_out(self._gguf).match
        unused = unused_tensors(sources.values(), tensors)
        if unused := [name for name in unused if not is_left_out(name)]:
            raise BadCheckpointError(f"the network has no place for {name_some(unused, 'tensors')}")
        for name, source in sources.items():
            self._check_shape(name, source)
        return sources

    def _check_shape(self, name: str, source: Source) -> None:
        stored = [self._gguf.tensors[tensor].shape for tensor in source.names]
        expected = _dense(self._shapes[name])
        if source.join is not None:
            is_right = sum(map(prod, stored)) == prod(expected)
        else:
            is_right = _dense(stored[0][0 if source.expert is None else 1 :]) == expected
        if not is_right:
            shapes = ", ".join(map(str, map(list, stored)))
            raise BadCheckpointError(
                f"{source.names[0]} has the shape {shapes}, which does not fit {name}, {expected}"
            )

    def _tensors(self, dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
        """Yield the tensors of the network one at a time; experts of a layer share one read."""
        config = self.config.to_dict()
        last: tuple[tuple[str, ...], list[Array]] = ((), [])
        for name, source in self._sources.items():
            if source.names != last[0]:
                last = source.names, [self._gguf.tensors[each].read() for each in source.names]
            values = last[1][0] if source.expert is None else last[1][0][source.expert]
            if source.join is not None:
                values = source.join.join(last[1], config)
            values = transform(name, values, config, self._architecture.transforms)
            tensor = torch.from_numpy(np.ascontiguousarray(values).reshape(self._shapes[name]))
            yield name, tensor.to(dtype)


def _make_network(examined: Examined) -> tuple[Any, dict[str, list[int]]]:
    """Return configuration and shapes of tensors; raise `BadCheckpointError` if there are none."""
    try:
        config = AutoConfig.for_model(examined.architecture.model_type, **examined.fields)
        return config, _shapes(config)
    except CONFIG_ERRORS as error:
        raise BadCheckpointError(f"its metadata describe no network: {one_line(error)}") from error


def _shapes(config: Any) -> dict[str, list[int]]:
    """Return the shape of each tensor of the network as checkpoints name them."""
    loader: Any = AutoModelForCausalLM
    with torch.device("meta"):
        model = loader.from_config(config)
    tensors = dict(model.state_dict())
    if config.tie_word_embeddings:
        for name in model.all_tied_weights_keys:
            tensors.pop(name, None)
    stored = revert_weight_conversion(model, tensors)
    config.architectures = [type(model).__name__]
    return {name: list(tensor.shape) for name, tensor in stored.items()}


def _dense(shape: Any) -> list[int]:
    """Return a shape without axes of length 1, which some files leave out."""
    return [length for length in shape if length != 1]
