"""Peers without a batching server: their engine runs in a process of their own environment.

A burst is sent to it as a line of JSON with the token ids of the prompts; it answers with another.
"""

import selectors
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from bench.peers.environments import Environment
from bench.peers.peer import Burst
from bench.peers.prompts import Encoder, load_encoder
from bench.peers.servers.processes import START_S, Child, run_child
from bench.server import BenchError

TIMEOUT_S = 900.0


@dataclass(frozen=True, slots=True)
class PipedRunner:
    """Engine that has loaded its weights."""

    child: Child
    encode: Encoder

    @property
    def pid(self) -> int:
        """Process id of the engine."""
        return self.child.process.pid

    def run(self, prompts: Sequence[str], num_tokens: int, num_constrained: int = 0) -> Burst:
        """Submit all prompts at once; raise `BenchError` if the engine fails."""
        if num_constrained:
            raise BenchError("measured without schemas")
        burst = {"prompts": [self.encode(prompt) for prompt in prompts], "num_tokens": num_tokens}
        pipe = self.child.process.stdin
        assert pipe is not None
        try:
            pipe.write(orjson.dumps(burst) + b"\n")
            pipe.flush()
        except BrokenPipeError as error:
            raise self.child.failure("it has ended") from error
        return Burst(**_read_line(self.child, TIMEOUT_S))


@contextmanager
def start_piped(
    environment: Environment,
    module: str,
    arguments: Mapping[str, Any],
    variables: Mapping[str, str],
    weights: Path,
) -> Iterator[PipedRunner]:
    """Start a module of `bench.peers.inside`, which prints a first line when it is ready."""
    module = f"bench.peers.inside.{module}"
    command: list[str | Path] = [
        environment.python,
        "-m",
        module,
        orjson.dumps(dict(arguments)).decode(),
    ]
    with run_child(command, variables, is_piped=True) as started:
        _read_line(started, START_S)
        yield PipedRunner(started, load_encoder(weights))


def _read_line(started: Child, timeout_s: float) -> dict[str, Any]:
    pipe = started.process.stdout
    assert pipe is not None
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        if not selector.select(timeout_s):
            raise started.failure(f"no answer for {timeout_s:.0f} s")
    line = pipe.readline()
    if not line:
        raise started.failure("it ended")
    answer: dict[str, Any] = orjson.loads(line)
    return answer
