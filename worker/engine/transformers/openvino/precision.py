"""In which precision a network is computed on this processor."""

import time
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import openvino
from openvino import opset13 as ops

from worker.engine.cpu_cores import num_cores
from worker.engine.interface import EngineConfig
from worker.engine.transformers.device import has_native_bfloat16
from worker.engine.transformers.openvino.compress import GROUP_SIZE

Weights = Literal["full", "int8", "int4"]
"""In which weights are kept: as they are stored, or in so many bits."""

BYTES_PER_WEIGHT = {"f32": 4.0, "bf16": 2.0, "int8": 1.1, "int4": 0.7}
"""In memory, scales and zero points included."""

ACTIVATION_GROUP = 64
"""Activations that share a scale where they are rounded to 8 bits, to be multiplied by weights in
8 bits."""

_PROBE_SIZE, _PROBE_LAYERS, _PROBE_ROWS = 1024, 8, 8
_NUM_TRIES = 15

_CLEARLY_FASTER = 0.8
"""What float32 takes of bfloat16's time to be preferred where the processor has both: less would
leave it to chance, on a busy machine, in which type a worker computes."""


@dataclass(frozen=True, slots=True)
class Execution:
    """How a graph is computed."""

    precision: str
    """Of activations and products: `f32` or `bf16`."""
    cache_precision: str
    """Of keys and values: `f32`, `bf16` or `u8`."""
    num_threads: int
    activation_group: int = ACTIVATION_GROUP
    """Activations that are rounded to 8 bits together where weights are in fewer bits; with more
    than share a scale in the weights, the plugin rounds none, which is slow."""

    def properties(self) -> dict[str, Any]:
        """By the plugin's names for them."""
        return {
            "INFERENCE_NUM_THREADS": self.num_threads,
            "INFERENCE_PRECISION_HINT": self.precision,
            "KV_CACHE_PRECISION": self.cache_precision,
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": self.activation_group,
            "NUM_STREAMS": 1,
            # Threads bound to cores would share theirs with those of a neighbouring worker.
            "ENABLE_CPU_PINNING": False,
        }


def weights_of(config: EngineConfig) -> Weights:
    """How the weights are kept for a configuration."""
    return config.dtype if config.dtype in ("int8", "int4") else "full"


def choose_execution(config: EngineConfig) -> Execution:
    """Return the precision that is asked for, or else the fastest one here."""
    num_threads = config.num_threads or num_cores()
    asked = {"float32": "f32", "bfloat16": "bf16"}.get(config.dtype)
    precision = asked or fastest_precision(num_threads)
    cache_precision = "u8" if config.kv_cache_dtype == "int8" else precision
    group = GROUP_SIZE if config.dtype == "int4" else ACTIVATION_GROUP
    return Execution(precision, cache_precision, num_threads, group)


def fastest_precision(num_threads: int) -> str:
    """Return bfloat16 where the processor multiplies it, unless a few linear layers are clearly
    faster in float32."""
    if not has_native_bfloat16():
        return "f32"
    try:
        probes = {name: _probe(name, num_threads) for name in ("bf16", "f32")}
        # In turn, and the least of each: what others do on the machine hits both or none.
        rounds = [
            {name: _seconds(probe) for name, probe in probes.items()} for _ in range(_NUM_TRIES)
        ]
    except RuntimeError:  # oneDNN is held to older instructions than the processor has
        return "f32"
    short_s, exact_s = (min(each[name] for each in rounds) for name in ("bf16", "f32"))
    return "f32" if exact_s < _CLEARLY_FASTER * short_s else "bf16"


def _probe(precision: str, num_threads: int) -> Any:
    """Return linear layers that are ready to run on the rows of a small batch."""
    weights = np.full((_PROBE_SIZE, _PROBE_SIZE), 1 / _PROBE_SIZE, np.float32)
    rows = ops.parameter([-1, _PROBE_SIZE], openvino.Type.f32)
    output: Any = rows
    for layer in range(_PROBE_LAYERS):
        # Each has weights of its own, as the layers of a network.
        output = ops.matmul(output, ops.constant(weights * (1 + layer / 16)), False, True)
    properties = Execution(precision, precision, num_threads).properties()
    graph = openvino.Model([output], [rows])
    request = openvino.Core().compile_model(graph, "CPU", properties).create_infer_request()
    request.set_input_tensor(openvino.Tensor(np.ones((_PROBE_ROWS, _PROBE_SIZE), np.float32)))
    return request


def _seconds(request: Any) -> float:
    began = time.perf_counter()
    request.infer()
    return time.perf_counter() - began
