"""Blueprint of the dashboard: checks and headers that all of its pages share."""

from flask import Blueprint, Response, g, request

from api.access.csrf import check_csrf, remember_browser
from api.access.route_scopes import DASHBOARD
from api.access.sessions import PATH
from api.dashboard.pages import render_error, wants_html
from api.http.errors import answer_error, as_app_error
from models.errors import AppError

blueprint = Blueprint(
    DASHBOARD,
    __name__,
    template_folder="templates",
    static_folder="static",
    static_url_path=f"{PATH}/static",
)

ONE = f"{PATH}/responses/<string:response_id>"
"""Path of the page about one response."""

_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
_STATIC_S = 3600


@blueprint.before_request
def _check_csrf() -> None:
    check_csrf(g.get("caller"))


@blueprint.after_request
def _add_headers(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = _POLICY
    # With "no-referrer", browsers would not name the origin of a form that is sent.
    response.headers["Referrer-Policy"] = "same-origin"
    is_static = request.endpoint == f"{DASHBOARD}.static"
    response.headers["Cache-Control"] = f"max-age={_STATIC_S}" if is_static else "no-store"
    return remember_browser(response)


@blueprint.errorhandler(Exception)
def _answer(error: Exception) -> Response:
    """Answer an error with a page to a browser, and as the API does to anyone else."""
    answered = answer_error(error)
    if not wants_html():
        return answered
    known = error if isinstance(error, AppError) else as_app_error(error)
    page = render_error(known, answered.status_code)
    page.headers.update(
        {"Retry-After": answered.headers["Retry-After"]} if known.retry_after_s else {}
    )
    return page
