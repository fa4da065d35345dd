"""Spans of requests, from the client's `traceparent` on to the end of their answer."""

from flask import Flask, request

from models.tracing.spans import NO_SPAN, current_span, make_current
from models.tracing.tracer import TRACER

SPAN = "antiphon.span"
"""Key of the WSGI environment under which the app leaves the span of a request."""
_TRACED = ("/v1/", "/admin/v1/")
"""Beginnings of the paths of routes that are traced: no probes, no pages, no scrapes."""


def install_tracing(app: Flask) -> None:
    """Begin a span for each request; it is current in the thread that runs the view.

    The server ends it with the answer, which may be a stream.
    """
    app.before_request(_begin)
    app.teardown_request(_leave)


def _begin() -> None:
    rule = request.url_rule
    if not TRACER.is_on or rule is None or not rule.rule.startswith(_TRACED):
        return
    span = TRACER.start(
        f"{request.method} {rule.rule}",
        parent=request.headers.get("traceparent"),
        kind="server",
        attributes={"http.request.method": request.method, "http.route": rule.rule},
    )
    request.environ[SPAN] = span
    make_current(span)


def _leave(_error: BaseException | None) -> None:
    if current_span() is not NO_SPAN:
        make_current(NO_SPAN)
