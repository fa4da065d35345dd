"""Events of a response, each once and in order, over as many connections as that takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from cli.client.official import PATIENCE_S, Api, path_of

if TYPE_CHECKING:
    from openai import APIError

TERMINAL = frozenset({"completed", "incomplete", "failed", "cancelled"})
"""Statuses of a response that has ended."""
_ENDS = frozenset(f"response.{end}" for end in TERMINAL)
_AWAY = "service_unavailable"
"""Code of the event `error` of a stream whose server has lost its database or its broker."""
_FIRST_PAUSE_S, _MAX_PAUSE_S = 0.2, 5.0


class EventStream:
    """Events of one response from a sequence number on."""

    def __init__(
        self,
        api: Api,
        response_id: str,
        *,
        start: int = 0,
        patience_s: float = PATIENCE_S,
        on_drop: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`on_drop` is told why, each time that the connection is lost and opened anew."""
        self._api = api
        self._id = response_id
        self._next = start
        self._patience_s = patience_s
        self._on_drop = on_drop
        self._is_over = False

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the events; raise `RequestFailedError` if there can be no more of them."""
        from openai import APIError

        pause_s = _FIRST_PAUSE_S
        lost_at: float | None = None
        while not self._is_over:
            try:
                for event in self._read():
                    pause_s, lost_at = _FIRST_PAUSE_S, None
                    yield event
                reason = "the stream ended early"
                self._is_over = self._is_over or self._has_no_more()
            except APIError as error:
                reason = str(error.__cause__ or error)
                now = time.monotonic()
                lost_at = lost_at or now
                if not _may_pass(error) or now - lost_at > self._patience_s:
                    with self._api.explained():
                        raise
            if not self._is_over:
                self._on_drop(reason)
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, _MAX_PAUSE_S)

    def _has_no_more(self) -> bool:
        """Return True if the response has ended with the events before these."""
        return self._api.retrieve(self._id)["status"] in TERMINAL

    def _read(self) -> Iterator[dict[str, Any]]:
        """Yield the events of one connection."""
        from openai import Stream

        query: dict[str, Any] = {"stream": "true", "include_obfuscation": "false"}
        if self._next:
            query["starting_after"] = self._next - 1
        stream = self._api.client.get(
            path_of(self._id),
            cast_to=object,
            options={"params": query},
            stream=True,
            stream_cls=Stream[object],
        )
        for event in stream:
            assert isinstance(event, dict)
            self._next = event["sequence_number"] + 1
            self._is_over = event["type"] in _ENDS
            yield event


def _may_pass(error: APIError) -> bool:
    """Return True for a lost connection, a 5xx, or a stream that cannot continue for now."""
    from openai import APIConnectionError, InternalServerError

    return isinstance(error, APIConnectionError | InternalServerError) or error.code == _AWAY


def text_of(event: dict[str, Any]) -> str:
    """Return the text that an event adds to the answer."""
    if event["type"] in ("response.output_text.delta", "response.refusal.delta"):
        return str(event["delta"])
    return ""
