"""Signing in to the dashboard with an API key, and signing out."""

from flask import Response, g, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from api.access.sessions import COOKIE, PATH, set_cookie
from api.dashboard.blueprint import blueprint
from api.dashboard.pages import render
from api.http.forwarded import client_address
from api.services import services
from models.access.caller import Caller
from models.access.scopes import Scope
from models.errors import AppError, InvalidApiKeyError

_UNKNOWN = "This is no valid key."
_NO_SCOPE = (
    "This key has not the scope 'dashboard'. Create one that has it: "
    "./antiphon keys create NAME --scope dashboard --scope responses:read"
)


@blueprint.get("/")
def home() -> BaseResponse:
    """Lead whoever opens the server's address to the dashboard."""
    return redirect(url_for("dashboard.list_responses"))


@blueprint.get(f"{PATH}/login")
def show_login() -> str | BaseResponse:
    """Show the form to sign in; an open server asks for no key."""
    if services().authenticator.is_open():
        return redirect(url_for("dashboard.list_responses"))
    return render("login.html", error=None, target="")


@blueprint.post(f"{PATH}/login")
def log_in() -> BaseResponse:
    """Begin a session for the key that was given."""
    target = request.form.get("target", "")
    try:
        caller = _authenticate(request.form.get("key", ""))
    except AppError as error:
        g.error_code = error.code
        message = _UNKNOWN if isinstance(error, InvalidApiKeyError) else error.message
        return Response(render("login.html", error=message, target=target), error.http_status)
    if caller.key_id is not None and Scope.DASHBOARD not in caller.scopes:
        return Response(render("login.html", error=_NO_SCOPE, target=target), 403)
    g.caller = caller
    answer = redirect(_own_page(target), code=303)
    if caller.key_id is not None:
        cookie = services().sessions.begin(caller.key_id)
        set_cookie(answer, COOKIE, cookie, is_secure=request.is_secure)
    return answer


@blueprint.post(f"{PATH}/logout")
def log_out() -> BaseResponse:
    """End the session, for this browser and for whoever else has its cookie."""
    services().sessions.end(request.cookies.get(COOKIE, ""))
    answer = redirect(url_for("dashboard.show_login"), code=303)
    answer.delete_cookie(COOKIE, path=PATH)
    return answer


def _authenticate(key: str) -> Caller:
    return services().authenticator.authenticate(f"Bearer {key.strip()}", client_address())


def _own_page(target: str) -> str:
    """Return the page to go on with: that of the dashboard which was asked for, or the first."""
    is_own = target.startswith(f"{PATH}/") and "\\" not in target and "//" not in target
    return target if is_own else url_for("dashboard.list_responses")
