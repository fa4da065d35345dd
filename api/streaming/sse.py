"""Server-sent events: frames, keep-alive comments and detection of disconnects."""

import logging
import time
from collections.abc import Callable, Iterator
from functools import partial

from flask import Response

from api.services import Services
from api.streaming.client_disconnect import get_client_socket, is_closed
from api.streaming.obfuscation import pad_event
from api.streaming.tail import Tail, make_error_event
from models.errors import AppError
from models.responses.record import ResponseRecord
from models.streams.event_log import LoggedEvent

logger = logging.getLogger(__name__)

_KEEP_ALIVE = b": keep-alive\n\n"
_DONE = b"data: [DONE]\n\n"


def stream_events(
    services: Services,
    record: ResponseRecord,
    *,
    start: int,
    is_padded: bool | None = None,
    on_disconnect: Callable[[], object] | None = None,
) -> Response:
    """Stream a response's events from sequence number `start`.

    Deltas are padded if `is_padded`; None means as the request that created the response says.
    `on_disconnect` is called if the client disconnects before the end.
    """
    slot = services.broadcaster.reserve_slot()
    # Reserved before streaming, so that a full server answers 503 and not a broken stream.
    slot.__enter__()
    if is_padded is None:
        options = record.parameters.get("stream_options") or {}
        is_padded = options.get("include_obfuscation", True)
    is_disconnected = partial(is_closed, get_client_socket()) if on_disconnect else None
    frames = _make_frames(Tail(services, record, start), is_padded, is_disconnected, on_disconnect)
    response = Response(frames, mimetype="text/event-stream")
    response.headers["Cache-Control"] = "no-cache"
    response.headers["X-Accel-Buffering"] = "no"
    response.call_on_close(lambda: slot.__exit__(None, None, None))
    return response


def _make_frames(
    tail: Tail,
    is_padded: bool,
    is_disconnected: Callable[[], bool] | None,
    on_disconnect: Callable[[], object] | None,
) -> Iterator[bytes]:
    """Yield the frames of a stream.

    `is_disconnected` is polled while nothing is sent: a disconnect shows in no other way then.
    """
    is_complete, sent_at = False, time.monotonic()
    check_s, keep_alive_s = tail.services.timings.check_client_s, tail.services.timings.keep_alive_s
    try:
        for event in tail.follow(idle_s=check_s if is_disconnected else keep_alive_s):
            if event is None and is_disconnected and time.monotonic() - sent_at < keep_alive_s:
                if is_disconnected():
                    return
                continue
            sent_at = time.monotonic()
            yield _KEEP_ALIVE if event is None else format_frame(event, is_padded=is_padded)
        is_complete = True
        yield _DONE
    except AppError as error:
        is_complete = True
        yield format_frame(make_error_event(error, tail.next_number))
        yield _DONE
    finally:
        if not is_complete and on_disconnect is not None:
            on_disconnect()


def format_frame(event: LoggedEvent, *, is_padded: bool = False) -> bytes:
    """Return one event as a complete frame."""
    data = pad_event(event) if is_padded else event.data
    return b"event: %b\ndata: %b\n\n" % (event.type.encode(), data)
