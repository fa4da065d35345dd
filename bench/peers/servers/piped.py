"""Peers without a server that batches: their engine runs in a process of its own environment.

Prompts go to it as token ids, a line of JSON a burst, and figures come back as one.
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
from bench.peers.prompts import Encoder, encoder_of
from bench.peers.servers.processes import START_S, Child, child

TIMEOUT_S = 900.0


@dataclass(frozen=True, slots=True)
class PipedRunner:
    """An engine that has read its weights."""

    child: Child
    encode: Encoder

    @property
    def pid(self) -> int:
        """The engine's process."""
        return self.child.process.pid

    def run(self, prompts: Sequence[str], num_tokens: int) -> Burst:
        """Hand all over at once."""
        asked = {"prompts": [self.encode(each) for each in prompts], "num_tokens": num_tokens}
        pipe = self.child.process.stdin
        assert pipe is not None
        try:
            pipe.write(orjson.dumps(asked) + b"\n")
            pipe.flush()
        except BrokenPipeError as error:
            raise self.child.failure("it has ended") from error
        return Burst(**_line(self.child, TIMEOUT_S))


@contextmanager
def piped(
    environment: Environment,
    module: str,
    arguments: Mapping[str, Any],
    variables: Mapping[str, str],
    weights: Path,
) -> Iterator[PipedRunner]:
    """Start a module of `bench.peers.inside`, which says a first line when it is ready."""
    module = f"bench.peers.inside.{module}"
    command: list[str | Path] = [
        environment.python,
        "-m",
        module,
        orjson.dumps(dict(arguments)).decode(),
    ]
    with child(command, variables, is_piped=True) as started:
        _line(started, START_S)
        yield PipedRunner(started, encoder_of(weights))


def _line(started: Child, timeout_s: float) -> dict[str, Any]:
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
