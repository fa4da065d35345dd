"""Tokens against forged requests of the dashboard (CSRF), in every form and every request of htmx.

A token is derived from a cookie that scripts cannot read: that of the session or, while there is
none, one of the browser. Whoever knows neither cannot make it.
"""

import base64
import hmac
import secrets

from flask import Response, g, request

from api.access.sessions import COOKIE, set_cookie
from models.access.caller import Caller
from models.errors import ForbiddenError

FIELD = "csrf_token"
HEADER = "X-CSRF-Token"
_BROWSER_COOKIE = "antiphon_browser"
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_COOKIE_BYTES = 32


class InvalidCsrfTokenError(ForbiddenError):
    """The form is out of date: load its page again, then send it."""

    default_code = "invalid_csrf_token"


def csrf_token() -> str:
    """Return the token for the forms of the page that answers the current request."""
    return _derive(_secret() or _new_secret())


def check_csrf(caller: Caller | None) -> None:
    """Raise a 403 for a change that does not come from one of the dashboard's own pages.

    A request with an API key in its header needs no token: a browser sends none by itself.
    """
    has_key = caller is not None and caller.key_id is not None
    if request.method in _SAFE_METHODS or (has_key and "Authorization" in request.headers):
        return
    given = request.headers.get(HEADER) or request.form.get(FIELD, "")
    secret = _secret()
    if not secret or not hmac.compare_digest(_derive(secret).encode(), given.encode()):
        raise InvalidCsrfTokenError


def remember_browser(response: Response) -> Response:
    """Set the cookie that the tokens of a page were derived from, if it is new."""
    if (secret := g.get("new_browser_secret")) is not None:
        set_cookie(response, _BROWSER_COOKIE, secret, is_secure=request.is_secure)
    return response


def _secret() -> str:
    cookies = request.cookies
    return cookies.get(COOKIE) or cookies.get(_BROWSER_COOKIE) or g.get("new_browser_secret") or ""


def _new_secret() -> str:
    g.new_browser_secret = secrets.token_urlsafe(_COOKIE_BYTES)
    return str(g.new_browser_secret)


def _derive(secret: str) -> str:
    digest = hmac.digest(secret.encode(), b"antiphon dashboard form", "sha256")
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
