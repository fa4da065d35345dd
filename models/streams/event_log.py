"""Live event logs, one per response: a Redis stream to read and a pub/sub channel to follow.

The id of an entry is `<sequence_number + 1>-0`, so Redis itself refuses duplicates and reordering.
The one or two opening events are derived from the response's row and are not in the log.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

import redis

from models.encryption.response import ResponseCipher
from models.outages import OutageLog
from models.schemas.event_types import BaseEvent

logger = logging.getLogger(__name__)

TERMINAL_EVENT_TYPES = frozenset({"response.completed", "response.incomplete", "response.failed"})
"""Types of the events that end a stream."""

RUNNING_TTL_S = 3600
"""Seconds a log is kept after the last event of a response that has not ended."""
FINISHED_TTL_S = 300
"""Seconds a log is kept after the end; by then the archive in Postgres has the events."""

BACKOFF_S = 0.5
"""Seconds without appends after a failure, as each try may take its whole timeout."""

_APPEND = Path(__file__).with_name("append.lua").read_text()
_TAKE_OVER = Path(__file__).with_name("take_over.lua").read_text()
_FENCE = "antiphon:fence:"
_SCAN_COUNT = 1000
"""Number of keys that Redis examines in one step of a scan."""
_TOKENS = " tokens"
"""Suffix of the purpose for which the token ids of an event are encrypted."""
_TYPE_START = len(b'{"type":"')
_TERMINAL_STARTS = tuple(b'{"type":"%b"' % name.encode() for name in TERMINAL_EVENT_TYPES)


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One event in the form that readers receive."""

    sequence_number: int
    data: bytes
    """JSON; `type` is its first key."""
    token_ids: tuple[int, ...] = ()
    """Ids of the tokens that led to this event; the last of several events carries them."""

    @property
    def type(self) -> str:
        """Type of the event, read from the start of its JSON."""
        return self.data[_TYPE_START : self.data.index(b'"', _TYPE_START)].decode()

    @property
    def is_terminal(self) -> bool:
        """Return True if no event follows."""
        return self.type in TERMINAL_EVENT_TYPES


def serialise(events: Sequence[BaseEvent], token_ids: Sequence[int] = ()) -> list[LoggedEvent]:
    """Return the events as entries of the log; the last one carries the ids of their tokens.

    Whoever has the tokens thus has every event that they led to.
    """
    entries = []
    for event in events:
        tokens = tuple(token_ids) if event is events[-1] else ()
        data = event.model_dump_json().encode()
        entries.append(LoggedEvent(event.sequence_number, data, tokens))
    return entries


class AppendResult(StrEnum):
    """Outcome of an append."""

    OK = "OK"
    STALE = "STALE"
    """A newer attempt has taken over the log."""
    LOST = "LOST"
    """Earlier events are missing; the log must be written again from its beginning."""
    UNREACHABLE = "UNREACHABLE"
    """Redis failed, or failed less than `BACKOFF_S` seconds ago."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """Append request: events of one response, written by one attempt."""

    response_id: UUID
    attempt: int
    first_sequence_number: int
    """Sequence number at which this response's log begins."""
    events: Sequence[LoggedEvent]
    cipher: ResponseCipher | None = None
    """Cipher of an unstored response; events of others are in the clear."""


def events_channel(response_id: UUID) -> str:
    """Return the pub/sub channel of a response: lines of `<sequence number> <JSON>`.

    An empty message asks the readers to check the store.
    """
    return f"antiphon:events:{response_id.hex}"


def parse_message(payload: bytes, cipher: ResponseCipher | None = None) -> list[LoggedEvent]:
    """Return the events in one message of the channel; none for an empty one."""
    events = []
    for line in payload.split(b"\n") if payload else []:
        number, data = line.split(b" ", 1)
        decrypted = _decrypt(cipher, _purpose(int(number)), data)
        if decrypted is None:
            break
        events.append(LoggedEvent(int(number), decrypted))
    return events


class EventLog:
    """Event logs of all responses."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._backoff_until = 0.0
        self._script_sha: str | None = None
        self._outage_log = OutageLog(logger, "events not logged")

    def append(self, appends: Sequence[Append]) -> list[AppendResult]:
        """Append for many responses in one round trip; return one result per append."""
        if time.monotonic() < self._backoff_until:
            return [AppendResult.UNREACHABLE] * len(appends)
        try:
            return self._append(appends)
        except redis.RedisError as error:
            self._script_sha = None
            self._outage_log.failed(error)
            self._backoff_until = time.monotonic() + BACKOFF_S
            return [AppendResult.UNREACHABLE] * len(appends)

    def _append(self, appends: Sequence[Append]) -> list[AppendResult]:
        results = self._run_script(appends)
        if errors := _errors(results):
            if any(isinstance(error, redis.exceptions.NoScriptError) for error in errors):
                # Appends that went through are repeated, which changes nothing.
                self._script_sha = None
                results = self._run_script(appends)
            self._note(_errors(results))
        elif self._outage_log.num_failures:
            self._outage_log.succeeded()
        return [
            AppendResult.UNREACHABLE
            if isinstance(result, Exception)
            else AppendResult(result.decode())
            for result in results
        ]

    def _run_script(self, appends: Sequence[Append]) -> list[Any]:
        if self._script_sha is None:
            self._script_sha = self._client.script_load(_APPEND)
        pipeline = self._client.pipeline(transaction=False)
        for append in appends:
            pipeline.evalsha(self._script_sha, 2, *_script_arguments(append))
        results: list[Any] = pipeline.execute(raise_on_error=False)
        return results

    def _note(self, errors: list[Exception]) -> None:
        """Note the errors of appends, or that a repetition had none."""
        if not errors:
            self._outage_log.succeeded()
            return
        self._outage_log.failed(errors[0])
        if any(isinstance(error, redis.exceptions.ReadOnlyError) for error in errors):
            # A replica by now; the primary may be behind the same address.
            self._client.connection_pool.disconnect()

    def read(
        self, response_id: UUID, *, start: int, cipher: ResponseCipher | None = None
    ) -> list[LoggedEvent]:
        """Return the logged events from sequence number `start` on, up to the first gap."""
        entries: Any = self._client.xrange(_log_key(response_id), min=f"{start + 1}-0")
        pairs = ((entry_id, (fields[b"d"], fields[b"t"])) for entry_id, fields in entries)
        return _parse_entries(pairs, start, cipher)

    def take_over(
        self, response_id: UUID, attempt: int, *, start: int, cipher: ResponseCipher | None = None
    ) -> list[LoggedEvent]:
        """Fence off every attempt older than `attempt`, then return the events as `read` does."""
        keys = (_log_key(response_id), _fence_key(response_id))
        entries: Any = self._client.eval(
            _TAKE_OVER, 2, *keys, str(attempt), str(RUNNING_TTL_S), f"{start + 1}-0"
        )
        pairs = ((entry_id, flat[1::2]) for entry_id, flat in entries)
        return _parse_entries(pairs, start, cipher)

    def wake_readers(self, response_id: UUID) -> None:
        """Ask the readers of a response to check the store now, not at their next poll.

        Errors of Redis are ignored, as readers poll anyway.
        """
        with suppress(redis.RedisError):
            self._client.publish(events_channel(response_id), b"")

    def scan(self) -> Iterator[dict[UUID, bool]]:
        """Yield the ids of all logged responses, one page at a time.

        The value is True if the log is due to expire within `FINISHED_TTL_S` seconds, as one with
        its terminal event is.
        """
        cursor = 0
        while True:
            page: Any = self._client.scan(cursor, match=f"{_FENCE}*", count=_SCAN_COUNT)
            cursor, keys = page
            pipeline = self._client.pipeline(transaction=False)
            for key in keys:
                pipeline.ttl(key)
            yield {
                UUID(hex=key.decode().removeprefix(_FENCE)): ttl_s <= FINISHED_TTL_S
                for key, ttl_s in zip(keys, pipeline.execute(), strict=True)
            }
            if not cursor:
                return

    def forget(self, response_ids: Iterable[UUID]) -> None:
        """Delete the logs and fencing tokens of responses."""
        keys = [key for id_ in response_ids for key in (_log_key(id_), _fence_key(id_))]
        if keys:
            self._client.delete(*keys)


def _parse_entries(
    entries: Iterable[tuple[bytes, Any]], start: int, cipher: ResponseCipher | None
) -> list[LoggedEvent]:
    """Return the entries as events, up to the first missing sequence number."""
    events: list[LoggedEvent] = []
    for entry_id, (data, token_ids) in entries:
        number = int(entry_id.split(b"-")[0]) - 1
        event = _decrypt(cipher, _purpose(number), data)
        tokens = _decrypt(cipher, _purpose(number) + _TOKENS, token_ids) if token_ids else b""
        if number != start + len(events) or event is None or tokens is None:
            break
        events.append(LoggedEvent(number, event, tuple(map(int, tokens.split()))))
    return events


def _purpose(sequence_number: int) -> str:
    return f"event {sequence_number}"


def _decrypt(cipher: ResponseCipher | None, purpose: str, data: bytes) -> bytes | None:
    return data if cipher is None else cipher.decrypt(purpose, data)


def _errors(results: list[Any]) -> list[Exception]:
    return [result for result in results if isinstance(result, Exception)]


def _script_arguments(append: Append) -> list[Any]:
    is_ended = append.events[-1].data.startswith(_TERMINAL_STARTS)
    arguments: list[Any] = [
        _log_key(append.response_id),
        _fence_key(append.response_id),
        append.attempt,
        FINISHED_TTL_S if is_ended else RUNNING_TTL_S,
        events_channel(append.response_id),
        append.first_sequence_number,
    ]
    for event in append.events:
        data, tokens = event.data, " ".join(map(str, event.token_ids)).encode()
        if append.cipher is not None:
            purpose = _purpose(event.sequence_number)
            data = append.cipher.encrypt(purpose, data)
            tokens = append.cipher.encrypt(purpose + _TOKENS, tokens) if tokens else tokens
        arguments += [event.sequence_number, data, tokens]
    return arguments


def _log_key(response_id: UUID) -> str:
    return f"antiphon:log:{response_id.hex}"


def _fence_key(response_id: UUID) -> str:
    return f"{_FENCE}{response_id.hex}"
