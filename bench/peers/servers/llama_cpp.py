"""llama.cpp in a process of its environment: the server of its Python package does not batch."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from bench.peers.environments import Environment
from bench.peers.peer import Isa, Precision, Setup
from bench.peers.servers.piped import PipedRunner, start_piped
from bench.peers.weights.converted import convert_once
from bench.peers.weights.gguf_file import FORMATS, write_gguf

_LEFT_OUT = (
    *("-DLLAVA_BUILD=OFF", "-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF"),
    *("-DLLAMA_BUILD_TOOLS=OFF", "-DLLAMA_CURL=OFF", "-DGGML_OPENMP=OFF"),
)
_AVX2 = (
    *("-DGGML_NATIVE=OFF", "-DGGML_AVX=ON", "-DGGML_AVX2=ON", "-DGGML_FMA=ON"),
    *("-DGGML_F16C=ON", "-DGGML_BMI2=ON", "-DGGML_AVX512=OFF"),
)


def _environment(name: str, *options: str) -> Environment:
    return Environment(
        name=name,
        requirements="llama-cpp.txt",
        distribution="llama-cpp-python",
        variables={"CMAKE_ARGS": " ".join((*options, *_LEFT_OUT))},
    )


ENVIRONMENTS = {
    Isa.NATIVE: _environment("llama-cpp", "-DGGML_NATIVE=ON"),
    Isa.AVX2: _environment("llama-cpp-avx2", *_AVX2),
}


class LlamaCpp:
    """llama.cpp with continuous batching like that of its C++ server."""

    name = "llama.cpp"
    is_over_http = False
    formats: Mapping[Precision, str] = {
        precision: FORMATS[precision]
        for precision in (Precision.BFLOAT16, Precision.INT8, Precision.INT4)
    }
    avx2_note = "by a second build"

    def version(self) -> str:
        """Return the version of the Python package, which includes the sources of llama.cpp."""
        return f"llama-cpp-python {ENVIRONMENTS[Isa.NATIVE].version()}"

    @contextmanager
    def start(self, setup: Setup) -> Iterator[PipedRunner]:
        """Write the GGUF file if that is not done yet, and load it."""
        environment = ENVIRONMENTS[setup.isa]
        environment.check()
        name = f"{FORMATS[setup.precision]}.gguf"
        file = convert_once(
            setup.weights, name, lambda to: write_gguf(setup.weights, to, setup.precision)
        )
        arguments = {
            "file": str(file),
            "num_threads": setup.num_threads,
            "max_streams": setup.max_streams,
            "max_tokens": setup.max_tokens,
        }
        with start_piped(environment, "llama_cpp", arguments, {}, setup.weights) as runner:
            yield runner
