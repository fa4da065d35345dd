"""Count of the answers over HTTP, by route."""

from models.metrics.recorder import RECORDER
from models.metrics.table import HTTP_REQUESTS

ROUTE = "antiphon.route"
"""Key of the WSGI environment under which the app leaves the pattern of a request's route."""
NO_ROUTE = "none"
_METHODS = {
    name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
}


def count_answer(method: bytes | None, route: str, status: int) -> None:
    """Count one answer; a method that nobody knows is client's text, and no label."""
    name = _METHODS.get(method or b"", "other")
    RECORDER.count(HTTP_REQUESTS, name, route, str(int(status)))
