"""Install the environments of all peers: `python -m bench.peers.install`, `make peers-install`."""

import typer

from bench.peers.environments import Environment
from bench.peers.servers.llama_cpp import ENVIRONMENTS as LLAMA_CPP
from bench.peers.servers.openvino_genai import ENVIRONMENT as OPENVINO_GENAI
from bench.peers.servers.transformers_serve import ENVIRONMENT as TRANSFORMERS
from bench.peers.servers.vllm import ENVIRONMENT as VLLM
from bench.server import BenchError

_ALL = (TRANSFORMERS, VLLM, OPENVINO_GENAI, *LLAMA_CPP.values())


def main() -> None:
    """Install what can be installed; a run tells why the others are missing."""
    for environment in _ALL:
        typer.echo(f"{environment.name}: {_outcome(environment)}")


def _outcome(environment: Environment) -> str:
    try:
        environment.install()
    except BenchError as error:
        return str(error)
    return environment.version()


if __name__ == "__main__":
    typer.run(main)
