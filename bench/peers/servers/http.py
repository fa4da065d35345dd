"""Peers over HTTP: requests of a burst, and parsing of their streams."""

import re
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import orjson

from bench.client.load import Address
from bench.client.streams import Stream, run_streams, stream_request
from bench.peers.peer import Burst
from bench.server import BenchError

TIMEOUT_S = 900.0
_AT_ONCE = 10_000.0
# Some servers send `event:` lines and some do not, so only the data is parsed.
_DATA = re.compile(rb"^data: (\{.*\})\r?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Answer:
    """First token and token count of one stream; times are on the monotonic clock."""

    first_token_at: float
    num_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRunner:
    """Running server."""

    address: Address
    pid: int
    path: str
    body: Callable[[str, int], dict[str, Any]]
    """Function from a prompt and a number of tokens to the body of a request."""
    read: Callable[[Stream], Answer]
    constraint: dict[str, Any] = field(default_factory=dict)
    """Fields of a body that hold the answer to a JSON schema, if that is measured."""

    def run(self, prompts: Sequence[str], num_tokens: int, num_constrained: int = 0) -> Burst:
        """Open a stream per prompt and read all to their end; raise `BenchError` if one fails."""
        if num_constrained and not self.constraint:
            raise BenchError("measured without schemas")
        bodies = [self.body(prompt, num_tokens) for prompt in prompts]
        bodies = [
            body | (self.constraint if number < num_constrained else {})
            for number, body in enumerate(bodies)
        ]
        requests = [stream_request(self.path, orjson.dumps(body)) for body in bodies]
        began = time.monotonic()
        streams = run_streams(self.address, requests, per_second=_AT_ONCE, timeout_s=TIMEOUT_S)
        seconds = time.monotonic() - began
        answers = [self.read(stream) for stream in streams]
        return Burst(
            seconds=seconds,
            num_tokens=sum(answer.num_tokens for answer in answers),
            first_token_s=[
                answer.first_token_at - stream.sent_at
                for answer, stream in zip(answers, streams, strict=True)
            ],
        )


def responses_answer(stream: Stream) -> Answer:
    """Parse a stream of `POST /v1/responses`."""
    first_token_at = None
    final: dict[str, Any] = {}
    for arrived_at, event in _events(stream):
        if event.get("type") == "response.output_text.delta" and first_token_at is None:
            first_token_at = arrived_at
        final = event.get("response") or final
    return _answer(stream, first_token_at, (final.get("usage") or {}).get("output_tokens"))


def chat_answer(stream: Stream) -> Answer:
    """Parse a stream of `POST /v1/chat/completions` with `stream_options.include_usage`."""
    first_token_at = None
    usage: dict[str, Any] = {}
    for arrived_at, event in _events(stream):
        choices = event.get("choices") or [{}]
        if (choices[0].get("delta") or {}).get("content") and first_token_at is None:
            first_token_at = arrived_at
        usage = event.get("usage") or usage
    return _answer(stream, first_token_at, usage.get("completion_tokens"))


def _answer(stream: Stream, first_token_at: float | None, num_tokens: int | None) -> Answer:
    if first_token_at is None or num_tokens is None:
        said = b"".join(stream.chunks)[-300:].decode(errors="replace")
        raise BenchError(f"a stream ended without text or usage: {said!r}")
    return Answer(first_token_at, num_tokens)


def _events(stream: Stream) -> Iterator[tuple[float, dict[str, Any]]]:
    """Yield the time at which the last byte of each event arrived, and its data."""
    ends = list(accumulate(map(len, stream.chunks)))
    for match in _DATA.finditer(b"".join(stream.chunks)):
        yield stream.stamps[bisect_left(ends, match.end())], orjson.loads(match[1])
