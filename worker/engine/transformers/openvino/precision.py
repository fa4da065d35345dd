"""Choice of the precision in which a network is computed on this processor."""

import time
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import openvino
from openvino import opset13 as ops

from worker.engine.cpu_cores import num_cores
from worker.engine.interface import EngineConfig
from worker.engine.transformers.device import has_avx512, has_native_bfloat16
from worker.engine.transformers.openvino.compress import GROUP_SIZE
from worker.engine.transformers.openvino.core import compile_model

Weights = Literal["full", "int8", "int4"]
"""Type in which weights are kept in memory: as stored in the folder, or in 8 or 4 bits."""

ACTIVATION_GROUP = 64
"""Activations that share a scale where they are rounded to 8 bits for products with 8-bit
weights."""

_PROBE_SIZE, _PROBE_LAYERS, _PROBE_ROWS = 1024, 8, 8
_NUM_TRIES = 15

_MAX_F32_TIME_RATIO = 0.8
"""Ratio of float32's to bfloat16's time below which float32 is preferred where the processor has
both. On a busy machine, a ratio closer to 1 would make a worker's choice of type random."""


@dataclass(frozen=True, slots=True)
class Execution:
    """Precisions and threads with which a graph is computed."""

    precision: str
    """Precision of activations and products: `f32` or `bf16`."""
    cache_precision: str
    """Precision of cached keys and values: `f32`, `bf16` or `u8`."""
    num_threads: int
    activation_group: int = ACTIVATION_GROUP
    """Activations that are rounded to 8 bits together where weights are in 8 or 4 bits. If they are
    more than the weights that share a scale, the plugin rounds none, which is slow."""

    def properties(self) -> dict[str, Any]:
        """Return the execution as properties of the plugin."""
        return {
            "INFERENCE_NUM_THREADS": self.num_threads,
            "INFERENCE_PRECISION_HINT": self.precision,
            "KV_CACHE_PRECISION": self.cache_precision,
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": self.activation_group,
            "NUM_STREAMS": 1,
            # Pinned threads would share their cores with those of another worker on the machine.
            "ENABLE_CPU_PINNING": False,
        }


def weights_of(config: EngineConfig) -> Weights:
    """Return the type in which a configuration keeps the weights in memory."""
    return config.dtype if config.dtype in ("int8", "int4") else "full"


def choose_execution(config: EngineConfig, group_size: int = 0) -> Execution:
    """Return an execution in the configured precision, or else in the fastest one here.

    `group_size` is the number of inputs that share a scale in weights that are quantised in the
    checkpoint, and 0 if there are no such groups.
    """
    num_threads = config.num_threads or num_cores()
    requested = {"float32": "f32", "bfloat16": "bf16"}.get(config.dtype)
    precision = requested or fastest_precision(num_threads)
    cache_precision = "u8" if config.kv_cache_dtype == "int8" else cache_precision_of(precision)
    group = min(ACTIVATION_GROUP, group_size or ACTIVATION_GROUP)
    if config.dtype == "int4":
        group = GROUP_SIZE
    elif requested:
        group = 0  # exact, as nobody asked for less
    return Execution(precision, cache_precision, num_threads, group)


def cache_precision_of(precision: str) -> str:
    """Return the precision of cached keys and values beside that of products.

    The plugin attends to a cache in bfloat16 with AVX-512 alone, which older processors lack.
    """
    return "f32" if precision == "bf16" and not has_avx512() else precision


def fastest_precision(num_threads: int) -> str:
    """Return `bf16` where the processor has bfloat16 instructions, else `f32`.

    Returns `f32` as well where a few linear layers are clearly faster in float32.
    """
    if not has_native_bfloat16():
        return "f32"
    try:
        probes = {name: _probe(name, num_threads) for name in ("bf16", "f32")}
        # Alternating runs and the minimum of each: other load on the machine affects both alike.
        rounds = [
            {name: _seconds(probe) for name, probe in probes.items()} for _ in range(_NUM_TRIES)
        ]
    except RuntimeError:  # oneDNN is limited to older instructions than the processor has
        return "f32"
    bf16_s, f32_s = (min(seconds[name] for seconds in rounds) for name in ("bf16", "f32"))
    return "f32" if f32_s < _MAX_F32_TIME_RATIO * bf16_s else "bf16"


def _probe(precision: str, num_threads: int) -> Any:
    """Return an inference request that computes linear layers for the rows of a small batch."""
    weights = np.full((_PROBE_SIZE, _PROBE_SIZE), 1 / _PROBE_SIZE, np.float32)
    rows = ops.parameter([-1, _PROBE_SIZE], openvino.Type.f32)
    output: Any = rows
    for layer in range(_PROBE_LAYERS):
        # Each layer has its own weights, as in a real network.
        output = ops.matmul(output, ops.constant(weights * (1 + layer / 16)), False, True)
    properties = Execution(precision, precision, num_threads).properties()
    graph = openvino.Model([output], [rows])
    request = compile_model(graph, properties).create_infer_request()
    request.set_input_tensor(openvino.Tensor(np.ones((_PROBE_ROWS, _PROBE_SIZE), np.float32)))
    return request


def _seconds(request: Any) -> float:
    began = time.perf_counter()
    request.infer()
    return time.perf_counter() - began
