"""OpenVINO GenAI's continuous batching in process: it has no server."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench.peers.environments import Environment
from bench.peers.peer import Isa, Precision, Setup
from bench.peers.servers.isa import held
from bench.peers.servers.piped import PipedRunner, piped
from bench.peers.weights.converted import converted
from bench.server import BenchError

_CACHE_GIB = 1
_WEIGHTS = {
    Precision.FLOAT32: "fp32",
    Precision.BFLOAT16: "fp16",
    Precision.INT8: "int8",
    Precision.INT4: "int4",
}
_GROUPS = {Precision.INT4: ("--group-size-fallback", "adjust")}
"""Groups of 128 weights share a scale; smaller ones where a row has no whole number of them."""
_SUMS = {"INFERENCE_PRECISION_HINT": "f32"}
_CACHE = {"KV_CACHE_PRECISION": "f32"}
"""It computes in bfloat16 where it can, and rounds its cache to bytes, unless it is told not to."""
_OF_AVX2 = _SUMS | {"DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
"""What it chooses itself on a processor that has neither sums in bfloat16 nor of bytes: it asks the
processor, not oneDNN, and would imitate the former and fail with the latter."""

ENVIRONMENT = Environment(
    name="openvino-genai",
    requirements="openvino-genai.txt",
    distribution="openvino-genai",
)


class OpenVinoGenAi:
    """On weights that optimum-intel has converted."""

    name = "OpenVINO GenAI"
    is_over_http = False
    formats: Mapping[Precision, str] = {
        each: f"{weights} weights" for each, weights in _WEIGHTS.items()
    }
    held_to_avx2 = "in part: float32, oneDNN by its environment; not its own norms and attention"

    def version(self) -> str:
        """Of its package."""
        return ENVIRONMENT.version()

    @contextmanager
    def start(self, setup: Setup) -> Iterator[PipedRunner]:
        """Convert the weights if they are not there, and compile them."""
        ENVIRONMENT.check()
        convert = partial(_convert, setup.weights, setup.precision)
        folder = converted(setup.weights, f"openvino-{setup.precision.value}", convert)
        properties = {"INFERENCE_NUM_THREADS": setup.num_threads, **_types(setup)}
        arguments = {"folder": str(folder), "cache_gib": _CACHE_GIB, "properties": properties}
        variables = held(setup.isa)
        with piped(ENVIRONMENT, "openvino_genai", arguments, variables, setup.weights) as runner:
            yield runner


def _types(setup: Setup) -> dict[str, str]:
    if setup.precision is Precision.FLOAT32:
        return _SUMS | _CACHE
    return _OF_AVX2 if setup.isa is Isa.AVX2 else {}


def _convert(weights: Path, precision: Precision, folder: Path) -> None:
    command = [
        *(str(ENVIRONMENT.folder / "bin" / "optimum-cli"), "export", "openvino"),
        *("-m", str(weights), "--task", "text-generation-with-past"),
        *("--weight-format", _WEIGHTS[precision], *_GROUPS.get(precision, ()), str(folder)),
    ]
    found = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if found.returncode:
        raise BenchError(f"not converted: {found.stdout.strip().splitlines()[-1]}")
