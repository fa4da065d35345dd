"""`transformers serve` with continuous batching, on our build of torch."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from bench.client.bodies import PATH
from bench.peers.environments import Environment, link_our_packages
from bench.peers.peer import Precision, Setup
from bench.peers.servers.http import HttpRunner, responses_answer
from bench.peers.servers.isa import isa_variables
from bench.peers.servers.processes import run_child, wait_until_up
from cli.embedded.ports import free_port

# Without --cb-num-blocks it takes three fifths of the memory; 16,384 tokens suffice here.
_OPTIONS = (
    *("--continuous-batching", "--cb-block-size", "32", "--cb-num-blocks", "512"),
    *("--cb-max-batch-tokens", "512", "--device", "cpu"),
)
_NO_TOKEN = -1

ENVIRONMENT = Environment(
    name="transformers",
    requirements="transformers.txt",
    distribution="transformers",
    finish=link_our_packages,
)


class TransformersServe:
    """`transformers serve` over HTTP, through `/v1/responses`; greedy is its default."""

    name = "transformers serve"
    is_over_http = True
    formats: Mapping[Precision, str] = {
        Precision.FLOAT32: "float32",
        Precision.BFLOAT16: "bfloat16",
    }
    avx2_note = "by the environment of oneDNN and ATen"

    def version(self) -> str:
        """Return the version of its package."""
        return ENVIRONMENT.version()

    @contextmanager
    def start(self, setup: Setup) -> Iterator[HttpRunner]:
        """Start it; it loads the weights before it answers."""
        ENVIRONMENT.check()
        port = free_port()
        variables = {"OMP_NUM_THREADS": str(setup.num_threads), "HF_HUB_OFFLINE": "1"}
        with run_child(_command(setup, port), variables | isa_variables(setup.isa)) as started:
            wait_until_up(f"http://127.0.0.1:{port}/health", started)
            yield HttpRunner(
                address=("127.0.0.1", port),
                pid=started.process.pid,
                path=PATH,
                body=partial(_body, str(setup.weights)),
                read=responses_answer,
            )


def _command(setup: Setup, port: int) -> list[str]:
    return [
        *(str(ENVIRONMENT.python), "-m", "transformers.cli.transformers"),
        *("serve", str(setup.weights), *_OPTIONS, "--dtype", setup.precision.value),
        *("--host", "127.0.0.1", "--port", str(port)),
    ]


def _body(model: str, prompt: str, num_tokens: int) -> dict[str, Any]:
    # No model generates this token, so answers do not end early.
    config = {"eos_token_id": _NO_TOKEN, "do_sample": False}
    return {
        "model": model,
        "input": prompt,
        "max_output_tokens": num_tokens,
        "generation_config": json.dumps(config),
        "stream": True,
    }
