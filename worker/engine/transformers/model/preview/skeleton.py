"""Network without weights: which tensors it has, compared with the headers of a checkpoint.

It is built on torch's meta device and loaded as the real one would be, with tensors that have types
and shapes but no data: renamed, split and tied tensors are understood as transformers does.
"""

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers.models.auto import auto_factory
from transformers.utils import logging as transformers_logging

from worker.engine.checkpoint.files import Checkpoint
from worker.engine.checkpoint.weight_files import read_tensors
from worker.engine.interface import BadCheckpointError
from worker.engine.transformers.model.load_report import check_loaded
from worker.engine.transformers.model.quantized.format import Format
from worker.engine.transformers.model.quantized.formats import folder_format
from worker.engine.transformers.model.quantized.load import drop_quantization, drop_zero_biases
from worker.engine.transformers.model.quantized.tensors import open_tensors, tensor_shapes
from worker.engine.transformers.text_config import network_loader, text_config_name
from worker.engine.transformers.torch_forward.attention import ATTENTION_NAME

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}


class Skeleton:
    """Network of a checkpoint on the meta device, and the report of its load."""

    def __init__(self, checkpoint: Checkpoint, model_config: Any, *, has_tensors: bool) -> None:
        """Build the network; if `has_tensors`, load the shapes of the checkpoint's tensors into it.

        Raises `BadCheckpointError` for tensors that cannot be joined as the network needs them.
        """
        config = copy.deepcopy(model_config)
        form = folder_format(checkpoint.folder)
        if form is not None:
            drop_quantization(config)
        # What becomes of tensors that transformers itself quantises depends on the device.
        self._is_whole = has_tensors and getattr(config, "quantization_config", None) is None
        stored = _shapes(checkpoint, form) if self._is_whole else {}
        find_class: Any = auto_factory._get_model_class
        network: Any = find_class(config, network_loader(config)._model_mapping)
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        self._checkpoint, self._form = checkpoint, form
        with _silent():
            try:
                self.model, self._report = network.from_pretrained(
                    None,
                    config=config,
                    state_dict=stored,
                    dtype=torch.bfloat16,
                    attn_implementation={text_config_name(config): ATTENTION_NAME},
                    device_map={"": "meta"},
                    ignore_mismatched_sizes=True,
                    output_loading_info=True,
                )
            except RuntimeError as error:  # experts that are joined to one tensor, for example
                raise BadCheckpointError(
                    "tensors that belong together are not all there, or differ in shape"
                ) from error

    def check_tensors(self) -> None:
        """Raise `BadCheckpointError` unless the files have each tensor of the network, in shape."""
        if not self._is_whole:
            return
        if self._form is not None:
            drop_zero_biases(self._report, open_tensors(self._checkpoint.folder, self._form))
        check_loaded(self._report, self.model.state_dict().keys())


def _shapes(checkpoint: Checkpoint, form: Format | None) -> dict[str, torch.Tensor]:
    """Return tensors without data in the place of those of a checkpoint."""
    if form is not None:
        shapes = tensor_shapes(checkpoint.folder, form)
        return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    return {
        name: torch.empty(tensor.shape, dtype=_DTYPES[tensor.dtype], device="meta")
        for name, tensor in read_tensors(checkpoint).items()
        if tensor.dtype in _DTYPES
    }


@contextmanager
def _silent() -> Iterator[None]:
    """Keep transformers from reporting what the caller reports in its own words."""
    library: Any = transformers_logging
    level, is_shown = library.get_verbosity(), library.is_progress_bar_enabled()
    library.set_verbosity(logging.CRITICAL)
    library.disable_progress_bar()
    try:
        yield
    finally:
        library.set_verbosity(level)
        if is_shown:
            library.enable_progress_bar()
