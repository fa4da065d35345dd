"""llama.cpp in process: the server of its Python package answers one request after the other."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from bench.peers.environments import Environment
from bench.peers.peer import Isa, Precision, Setup
from bench.peers.servers.piped import PipedRunner, piped
from bench.peers.weights.converted import converted
from bench.peers.weights.gguf_file import FORMATS, write_gguf

_LEFT_OUT = (
    *("-DLLAVA_BUILD=OFF", "-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF"),
    *("-DLLAMA_BUILD_TOOLS=OFF", "-DLLAMA_CURL=OFF", "-DGGML_OPENMP=OFF"),
)
_AVX2 = (
    *("-DGGML_NATIVE=OFF", "-DGGML_AVX=ON", "-DGGML_AVX2=ON", "-DGGML_FMA=ON"),
    *("-DGGML_F16C=ON", "-DGGML_BMI2=ON", "-DGGML_AVX512=OFF"),
)


def _built(name: str, *options: str) -> Environment:
    return Environment(
        name=name,
        requirements="llama-cpp.txt",
        distribution="llama-cpp-python",
        variables={"CMAKE_ARGS": " ".join((*options, *_LEFT_OUT))},
    )


ENVIRONMENTS = {
    Isa.NATIVE: _built("llama-cpp", "-DGGML_NATIVE=ON"),
    Isa.AVX2: _built("llama-cpp-avx2", *_AVX2),
}


class LlamaCpp:
    """With batches of its own, as its C++ server makes them."""

    name = "llama.cpp"
    is_over_http = False
    formats: Mapping[Precision, str] = {
        each: FORMATS[each] for each in (Precision.BFLOAT16, Precision.INT8, Precision.INT4)
    }
    held_to_avx2 = "by a second build"

    def version(self) -> str:
        """Of the Python package, which brings the sources."""
        return f"llama-cpp-python {ENVIRONMENTS[Isa.NATIVE].version()}"

    @contextmanager
    def start(self, setup: Setup) -> Iterator[PipedRunner]:
        """Write the GGUF file if it is not there, and read it."""
        environment = ENVIRONMENTS[setup.isa]
        environment.check()
        name = f"{FORMATS[setup.precision]}.gguf"
        file = converted(
            setup.weights, name, lambda to: write_gguf(setup.weights, to, setup.precision)
        )
        arguments = {
            "file": str(file),
            "num_threads": setup.num_threads,
            "max_streams": setup.max_streams,
            "max_tokens": setup.max_tokens,
        }
        with piped(environment, "llama_cpp", arguments, {}, setup.weights) as runner:
            yield runner
