"""The live event log of each response: a Redis stream to read back and a channel to follow.

The id of an entry is `<sequence_number + 1>-0`, so Redis itself refuses repeats and reordering. The
two or fewer opening events follow from the stored row and are not in the log.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

import redis

TERMINAL_EVENT_TYPES = frozenset({"response.completed", "response.incomplete", "response.failed"})
"""Types of the events after which none follows."""

RUNNING_TTL_S = 3600
"""Kept this long after the last event of a response that has not ended."""
FINISHED_TTL_S = 300
"""Kept this long after the end: the archive has the events by then."""

AWAY_S = 0.5
"""After a failure nothing is appended for so long: each try may take its whole timeout."""

_APPEND = Path(__file__).with_name("append.lua").read_text()
_OPEN = Path(__file__).with_name("take_over.lua").read_text()
_FENCE = "antiphon:fence:"
_SCAN = 1000
"""Keys that Redis looks at in one step of a scan."""
_TYPE_START = len(b'{"type":"')


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One event as its readers get it."""

    sequence_number: int
    data: bytes
    """JSON; `type` is its first key."""
    token_ids: tuple[int, ...] = ()
    """The tokens that this event accounts for."""

    @property
    def type(self) -> str:
        """The event's type, read off the head of its JSON."""
        return self.data[_TYPE_START : self.data.index(b'"', _TYPE_START)].decode()

    @property
    def is_terminal(self) -> bool:
        """Whether no event follows."""
        return self.type in TERMINAL_EVENT_TYPES


class AppendResult(StrEnum):
    """What became of an append."""

    OK = "OK"
    STALE = "STALE"
    LOST = "LOST"
    UNREACHABLE = "UNREACHABLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """Events of one response, to be appended by one attempt."""

    response_id: UUID
    attempt: int
    first_sequence_number: int
    """The number with which this response's log begins."""
    events: Sequence[LoggedEvent]


def events_channel(response_id: UUID) -> str:
    """Where the events of a response are published: lines of `<sequence number> <JSON>`.

    An empty message says: look at the store.
    """
    return f"antiphon:events:{response_id.hex}"


def parse_message(payload: bytes) -> list[LoggedEvent]:
    """The events of one message of the channel."""
    lines = payload.split(b"\n") if payload else []
    pairs = (line.split(b" ", 1) for line in lines)
    return [LoggedEvent(int(number), data) for number, data in pairs]


class EventLog:
    """Appends to and reads from the logs."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._away_until = 0.0
        self._script_sha: str | None = None

    def append(self, appends: Sequence[Append]) -> list[AppendResult]:
        """Append for many responses in one round trip; one result for each."""
        if time.monotonic() < self._away_until:
            return [AppendResult.UNREACHABLE] * len(appends)
        try:
            return self._append(appends)
        except redis.RedisError:
            self._script_sha = None
            self._away_until = time.monotonic() + AWAY_S
            return [AppendResult.UNREACHABLE] * len(appends)

    def _append(self, appends: Sequence[Append]) -> list[AppendResult]:
        if self._script_sha is None:
            self._script_sha = self._client.script_load(_APPEND)
        pipeline = self._client.pipeline(transaction=False)
        for append in appends:
            pipeline.evalsha(self._script_sha, 2, *_arguments(append))
        results = pipeline.execute(raise_on_error=False)
        if any(isinstance(result, redis.exceptions.NoScriptError) for result in results):
            self._script_sha = None
        return [
            AppendResult.UNREACHABLE
            if isinstance(result, Exception)
            else AppendResult(result.decode())
            for result in results
        ]

    def read(self, response_id: UUID, *, start: int) -> list[LoggedEvent]:
        """The logged events from sequence number `start` on, as far as they have no gap."""
        entries: Any = self._client.xrange(_log_key(response_id), min=f"{start + 1}-0")
        pairs = ((entry_id, (fields[b"d"], fields[b"t"])) for entry_id, fields in entries)
        return _without_gap(pairs, start)

    def take_over(self, response_id: UUID, attempt: int, *, start: int) -> list[LoggedEvent]:
        """Like `read`, after shutting out every attempt older than `attempt`."""
        keys = (_log_key(response_id), _fence_key(response_id))
        entries: Any = self._client.eval(
            _OPEN, 2, *keys, str(attempt), str(RUNNING_TTL_S), f"{start + 1}-0"
        )
        return _without_gap(((entry_id, flat[1::2]) for entry_id, flat in entries), start)

    def nudge(self, response_id: UUID) -> None:
        """Tell the readers of a response to look at the store; they do so by themselves, later."""
        with suppress(redis.RedisError):
            self._client.publish(events_channel(response_id), b"")

    def kept(self) -> Iterator[dict[UUID, bool]]:
        """All logs, some at a time, and whether each has its terminal event and is kept briefly."""
        cursor = 0
        while True:
            page: Any = self._client.scan(cursor, match=f"{_FENCE}*", count=_SCAN)
            cursor, keys = page
            pipeline = self._client.pipeline(transaction=False)
            for key in keys:
                pipeline.ttl(key)
            yield {
                UUID(hex=key.decode().removeprefix(_FENCE)): life_s <= FINISHED_TTL_S
                for key, life_s in zip(keys, pipeline.execute(), strict=True)
            }
            if not cursor:
                return

    def forget(self, response_ids: Iterable[UUID]) -> None:
        """Remove every trace of responses."""
        keys = [key for each in response_ids for key in (_log_key(each), _fence_key(each))]
        if keys:
            self._client.delete(*keys)


def _without_gap(entries: Iterable[tuple[bytes, Any]], start: int) -> list[LoggedEvent]:
    """Entries as events, up to the first number that is missing."""
    found: list[LoggedEvent] = []
    for entry_id, (data, token_ids) in entries:
        number = int(entry_id.split(b"-")[0]) - 1
        if number != start + len(found):
            break
        found.append(LoggedEvent(number, data, tuple(map(int, token_ids.split()))))
    return found


def _arguments(append: Append) -> list[Any]:
    ended = append.events[-1].is_terminal
    arguments: list[Any] = [
        _log_key(append.response_id),
        _fence_key(append.response_id),
        append.attempt,
        FINISHED_TTL_S if ended else RUNNING_TTL_S,
        events_channel(append.response_id),
        append.first_sequence_number,
    ]
    for event in append.events:
        arguments += [event.sequence_number, event.data, " ".join(map(str, event.token_ids))]
    return arguments


def _log_key(response_id: UUID) -> str:
    return f"antiphon:log:{response_id.hex}"


def _fence_key(response_id: UUID) -> str:
    return f"{_FENCE}{response_id.hex}"
