"""Checks of GGUF files: that all of a file is read, and nothing of it is lost in the conversion."""

import re
from pathlib import Path
from typing import Any

from gguf import GGUFReader
from transformers.modeling_gguf_pytorch_utils import (
    TENSOR_PROCESSORS,
    TensorProcessor,
    get_gguf_hf_weights_map,
)

from worker.engine.interface import BadCheckpointError

_ROTARY_TENSORS = re.compile(r"(^|\.)rope_(freqs|factors_long|factors_short)\.weight$")
_UNSCALED = (None, "none", "")


class GgufFile:
    """Metadata and names of tensors of a GGUF file; its data is mapped, not read."""

    def __init__(self, file: Path) -> None:
        """Read the header; raises `ValueError` or `struct.error` for a file that is no GGUF."""
        reader = GGUFReader(file)
        self._fields = {name: field.contents() for name, field in reader.fields.items()}
        self._tensors = [tensor.name for tensor in reader.tensors]
        self._architecture = str(self._fields.get("general.architecture", ""))

    def check(self) -> None:
        """Raise `BadCheckpointError` for a part of a split file, and for a LoRA adapter."""
        num_parts = self._fields.get("split.count") or 1
        if num_parts > 1:
            raise BadCheckpointError(
                f"it is one of {num_parts} parts of a split file: join them with llama.cpp's "
                "llama-gguf-split --merge"
            )
        kind = self._fields.get("general.type", "model")
        if kind != "model":
            raise BadCheckpointError(f"it is of type {kind!r}, not a whole model")

    def check_converted(self, model: Any) -> None:
        """Raise `BadCheckpointError` if the network lacks something that the file has.

        That is the scaling of rotary positions, or a bias of a layer.
        """
        config = model.config.get_text_config()
        rope = getattr(config, "rope_parameters", None) or {}
        is_scaled = rope.get("rope_type", "default") != "default"
        if not is_scaled and (reason := self._rotary_scaling()):
            raise BadCheckpointError(
                f"its rotary positions are scaled ({reason}), which is not converted: take the "
                "model as safetensors"
            )
        if lost := self._lost_tensors(model, config):
            raise BadCheckpointError(
                f"the network has no place for {len(lost)} of its tensors ({lost[0]}, …)"
            )

    def _rotary_scaling(self) -> str:
        """Return what says that positions are scaled, or an empty string."""
        for name in self._tensors:
            if _ROTARY_TENSORS.search(name):
                return name
        key = f"{self._architecture}.rope.scaling.type"
        kind = self._fields.get(key)
        return "" if kind in _UNSCALED else f"{key} is {kind}"

    def _lost_tensors(self, model: Any, config: Any) -> list[str]:
        """Return the tensors of layers that the network has, which are not among its own."""
        processor_class: Any = TENSOR_PROCESSORS.get(self._architecture, TensorProcessor)
        processor = processor_class(config=config.to_dict())
        mapped = get_gguf_hf_weights_map(model, processor)
        layers = {name.rpartition(".")[0] for name in mapped}
        return [
            name
            for name in self._tensors
            if name not in mapped and name.rpartition(".")[0] in layers
        ]
