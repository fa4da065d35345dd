"""Server-sent events: frames, keep-alive comments, and what a client's leaving means."""

import logging
import time
from collections.abc import Callable, Iterator
from functools import partial

from flask import Response

from api.services import Services
from api.streaming.client_disconnect import LISTEN_S, connection_of_request, is_closed
from api.streaming.obfuscation import padded
from api.streaming.tail import Tail, error_event
from models.errors import AppError
from models.responses.record import ResponseRecord
from models.streams.event_log import LoggedEvent

logger = logging.getLogger(__name__)

KEEP_ALIVE_S = 15.0
_KEEP_ALIVE = b": keep-alive\n\n"
_DONE = b"data: [DONE]\n\n"


def event_stream(
    at: Services,
    stored: ResponseRecord,
    *,
    start: int,
    is_padded: bool | None = None,
    on_gone: Callable[[], object] | None = None,
) -> Response:
    """Stream a response's events from sequence number `start`; `on_gone` if the client leaves.

    `is_padded` says whether deltas have their padding; None: as the request that made it says.
    """
    place = at.broadcaster.place()
    # Taken here, so that a full server answers 503 and not a broken stream.
    place.__enter__()
    if is_padded is None:
        options = stored.parameters.get("stream_options") or {}
        is_padded = options.get("include_obfuscation", True)
    is_gone = partial(is_closed, connection_of_request()) if on_gone else None
    frames = _frames(Tail(at, stored, start), is_padded, is_gone, on_gone)
    response = Response(frames, mimetype="text/event-stream")
    response.headers["Cache-Control"] = "no-cache"
    response.headers["X-Accel-Buffering"] = "no"
    response.call_on_close(lambda: place.__exit__(None, None, None))
    return response


def _frames(
    tail: Tail,
    is_padded: bool,
    is_gone: Callable[[], bool] | None,
    on_gone: Callable[[], object] | None,
) -> Iterator[bytes]:
    """`is_gone` is asked while nothing is sent: nothing else tells of a client's leaving."""
    is_over, sent_at = False, time.monotonic()
    try:
        for event in tail.follow(idle_s=LISTEN_S if is_gone else KEEP_ALIVE_S):
            if event is None and is_gone and time.monotonic() - sent_at < KEEP_ALIVE_S:
                if is_gone():
                    return
                continue
            sent_at = time.monotonic()
            yield _KEEP_ALIVE if event is None else frame(event, is_padded=is_padded)
        is_over = True
        yield _DONE
    except AppError as error:
        is_over = True
        yield frame(error_event(error, tail.next_number))
        yield _DONE
    finally:
        if not is_over and on_gone is not None:
            on_gone()


def frame(event: LoggedEvent, *, is_padded: bool = False) -> bytes:
    """One event as it goes over the wire, in one piece."""
    data = padded(event) if is_padded else event.data
    return b"event: %b\ndata: %b\n\n" % (event.type.encode(), data)
