"""Call of the WSGI application for one request, in a thread."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

from api.event_loop.loop_body import LoopBody
from api.http.tracing import SPAN
from api.metrics.http import NO_ROUTE, ROUTE
from models.tracing.spans import NO_SPAN, Span

Headers = list[tuple[str, str]]
WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers and body of an answer."""

    status: str
    headers: Headers
    body: bytes | LoopBody
    route: str = NO_ROUTE
    """Pattern of the request's route."""
    span: Span = NO_SPAN
    """Span of the request, which ends with the answer."""


def call_app(app: WsgiApp, environ: dict[str, Any]) -> Answer:
    """Return the app's answer, its body read unless the event loop sends it."""
    begun: list[tuple[str, Headers]] = []

    def start_response(status: str, headers: Headers, exc_info: object = None) -> None:
        begun.append((status, headers))

    result = app(environ, start_response)
    try:
        body = result if isinstance(result, LoopBody) else b"".join(result)
    finally:
        if hasattr(result, "close"):
            cast(Any, result).close()
    status, headers = begun[-1]
    span: Span = environ.get(SPAN, NO_SPAN)
    return Answer(status, headers, body, environ.get(ROUTE, NO_ROUTE), span)
