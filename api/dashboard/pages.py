"""Rendering of the dashboard's pages, with what all of them show."""

from typing import Any

from flask import Response, g, render_template, request

from api.access.csrf import csrf_token
from api.dashboard.formats import FILTERS
from api.dashboard.roles import role_of
from models.access.caller import Caller
from models.access.scopes import Scope
from models.errors import AppError

_TITLES = {
    401: "Sign in",
    403: "Not allowed",
    404: "Not found",
    429: "Too many requests",
    503: "Out of reach",
}
_HTML = "text/html"


def render(template: str, **context: Any) -> str:
    """Render a template for the caller of the current request."""
    caller: Caller | None = g.get("caller")
    shared: dict[str, Any] = {"csrf_token": csrf_token(), "caller": caller, **FILTERS}
    if caller is not None:
        shared |= {"role": role_of(caller), "scopes": caller.scopes, "Scope": Scope}
    return render_template(f"dashboard/{template}", **shared, **context)


def wants_html() -> bool:
    """Return True if the current request comes from a page or a person, and not from a program."""
    return _HTML in request.headers.get("Accept", "") or "HX-Request" in request.headers


def render_error(error: AppError, status: int) -> Response:
    """Return the page that explains an error: to who has no session, the one to sign in."""
    g.error_code = error.code
    if "HX-Request" in request.headers:
        page = render("error_notice.html", error=error)
    elif status == 401:
        page = render("login.html", error=None, target=request.full_path.rstrip("?"))
    else:
        title = _TITLES.get(status, "Error")
        page = render("error.html", error=error, status=status, title=title)
    return Response(page, status=status, mimetype=_HTML)
