"""Our own server, as started by `./antiphon up`: API, worker, Postgres and Valkey."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from bench.client.bodies import PATH
from bench.peers.peer import Precision, Setup
from bench.peers.prompts import SCHEMA
from bench.peers.servers.http import HttpRunner, responses_answer
from bench.peers.servers.isa import isa_variables
from bench.server import START_S, own_server

_FORMAT = {"type": "json_schema", "name": "parts", "schema": SCHEMA, "strict": True}


class Antiphon:
    """Our server over HTTP; the cost of storing resumable responses is included."""

    name = "ours"
    is_over_http = True
    formats: Mapping[Precision, str] = {precision: precision.value for precision in Precision}
    avx2_note = "its products, by the environment of oneDNN; not norms and attention"
    _engine = "transformers"
    _more: Mapping[str, str] = {}
    """More settings of ours."""
    _start_s = START_S

    def version(self) -> str:
        """Return nothing: the commit is published with the circumstances of the run."""
        return ""

    @contextmanager
    def start(self, setup: Setup) -> Iterator[HttpRunner]:
        """Start a server with a database of its own."""
        settings = {
            "ANTIPHON_ENGINE": self._engine,
            "ANTIPHON_MODEL": setup.weights.name,
            "ANTIPHON_DTYPE": setup.precision.value,
            "ANTIPHON_THREADS": str(setup.num_threads),
            **self._more,
        }
        settings |= isa_variables(setup.isa)
        with own_server(settings, setup.weights.parent, start_s=self._start_s) as server:
            yield HttpRunner(
                address=server.address,
                pid=server.pid,
                path=PATH,
                body=_body,
                read=responses_answer,
                constraint={"text": {"format": _FORMAT}},
            )


class AntiphonWithVllm(Antiphon):
    """Our server with the engine over vLLM, after `make vllm-install`."""

    name = "ours with vLLM"
    formats: Mapping[Precision, str] = {
        Precision.FLOAT32: "float32",
        Precision.BFLOAT16: "bfloat16",
    }
    _engine = "vllm"
    _start_s = 900.0  # the first start compiles for minutes
    # As vLLM alone: compiled, with its context and memory.
    _more: Mapping[str, str] = {
        "ANTIPHON_VLLM_ARGS": '{"enforce_eager": false, "max_model_len": 4096}',
        "ANTIPHON_KV_CACHE_GIB": "1",
    }


def _body(prompt: str, num_tokens: int) -> dict[str, Any]:
    return {
        "input": prompt,
        "max_output_tokens": num_tokens,
        "temperature": 0,
        "frequency_penalty": 0,
        "ignore_eos": True,
        "stream": True,
    }
