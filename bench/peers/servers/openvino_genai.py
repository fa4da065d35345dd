"""OpenVINO GenAI, in a process of its environment, because it has no server."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench.peers.environments import Environment
from bench.peers.peer import Isa, Precision, Setup
from bench.peers.servers.isa import isa_variables
from bench.peers.servers.piped import PipedRunner, start_piped
from bench.peers.weights.converted import convert_once
from bench.server import BenchError

_CACHE_GIB = 1
_WEIGHTS = {
    Precision.FLOAT32: "fp32",
    Precision.BFLOAT16: "fp16",
    Precision.INT8: "int8",
    Precision.INT4: "int4",
}
_GROUPS = {Precision.INT4: ("--group-size-fallback", "adjust")}
"""Options for groups of 128 weights per scale, smaller where 128 does not divide the row."""
_SUMS = {"INFERENCE_PRECISION_HINT": "f32"}
_CACHE = {"KV_CACHE_PRECISION": "f32"}
"""Properties for float32: by default it computes in bfloat16 and has an 8-bit KV cache."""
_OF_AVX2 = _SUMS | {"DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
"""Properties that it would choose on a processor without bfloat16 and int8 instructions.

It detects the actual processor and ignores the limits of oneDNN. Without these it would emulate
bfloat16 and fail on int8.
"""

ENVIRONMENT = Environment(
    name="openvino-genai",
    requirements="openvino-genai.txt",
    distribution="openvino-genai",
)


class OpenVinoGenAi:
    """OpenVINO GenAI on weights converted by optimum-intel."""

    name = "OpenVINO GenAI"
    is_over_http = False
    formats: Mapping[Precision, str] = {
        precision: f"{weights} weights" for precision, weights in _WEIGHTS.items()
    }
    avx2_note = "in part: float32, oneDNN by its environment; not its own norms and attention"

    def version(self) -> str:
        """Return the version of its package."""
        return ENVIRONMENT.version()

    @contextmanager
    def start(self, setup: Setup) -> Iterator[PipedRunner]:
        """Convert the weights if that is not done yet, and compile them."""
        ENVIRONMENT.check()
        convert = partial(_convert, setup.weights, setup.precision)
        folder = convert_once(setup.weights, f"openvino-{setup.precision.value}", convert)
        properties = {"INFERENCE_NUM_THREADS": setup.num_threads, **_types(setup)}
        arguments = {"folder": str(folder), "cache_gib": _CACHE_GIB, "properties": properties}
        variables = isa_variables(setup.isa)
        with start_piped(
            ENVIRONMENT, "openvino_genai", arguments, variables, setup.weights
        ) as runner:
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
