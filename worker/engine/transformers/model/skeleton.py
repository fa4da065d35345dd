"""Network without weights: which tensors it has, compared with the headers of a checkpoint.

It is built on torch's meta device and loaded as the real one would be, with tensors that have types
and shapes but no data: renamed, split and tied tensors are understood as transformers does.
"""

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


def check_tensors(checkpoint: Checkpoint, loader: Any, config: Any) -> None:
    """Raise `BadCheckpointError` unless the files have every tensor of the network, in its shape.

    `loader` is the class of transformers that loads networks of this kind, `config` the network's
    configuration. Quantised tensors are left to the load: what becomes of them depends on the
    device.
    """
    if getattr(config, "quantization_config", None) is not None:
        return
    stored = {
        name: torch.empty(tensor.shape, dtype=_DTYPES[tensor.dtype], device="meta")
        for name, tensor in read_tensors(checkpoint).items()
        if tensor.dtype in _DTYPES
    }
    find_class: Any = auto_factory._get_model_class
    network: Any = find_class(config, loader._model_mapping)
    with _silent():
        try:
            model, report = network.from_pretrained(
                None,
                config=config,
                state_dict=stored,
                dtype=torch.bfloat16,
                device_map={"": "meta"},
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
        except RuntimeError as error:  # experts that are joined to one tensor, for example
            raise BadCheckpointError(
                "tensors that belong together are not all there, or differ in shape"
            ) from error
    check_loaded(report, model.state_dict().keys())


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
