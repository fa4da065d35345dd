"""Authentication of every request before its view."""

from typing import cast

from flask import Flask, Response, g, request

from api.access.access_log import AccessLog
from api.access.authenticator import Authenticator
from api.access.current import current_caller
from api.access.open_connections import OpenConnections, Opener, RevocableBody
from api.access.route_scopes import DASHBOARD, PUBLIC, SCOPES
from api.access.sessions import Sessions
from api.event_loop.loop_body import LoopBody
from api.http.forwarded import client_address
from models.access.caller import Caller
from models.errors import ForbiddenError


def install_authentication(
    app: Flask,
    authenticator: Authenticator,
    sessions: Sessions,
    connections: OpenConnections,
    access_log: AccessLog,
) -> None:
    """Refuse requests without a valid key of the needed scope; end what revoked keys have open."""

    def identify() -> Caller:
        if request.blueprint == DASHBOARD:
            return sessions.authenticate(request, client_address())
        return authenticator.authenticate(request.headers.get("Authorization"), client_address())

    def authenticate() -> None:
        # A preflight request of a browser has no credentials (Fetch standard).
        endpoint = request.endpoint
        if endpoint in PUBLIC or request.method == "OPTIONS":
            return
        g.caller = caller = identify()
        if endpoint is not None:
            _check_scope(caller, endpoint)
        if caller.key_id is not None:
            access_log.note_use(caller.key_id)

    def guard(response: Response) -> Response:
        body = cast(object, response.response)
        if isinstance(body, LoopBody):
            caller = current_caller()
            opener = Opener(caller.key_id, caller.session_id)
            response.response = RevocableBody(body, opener, connections)  # type: ignore[assignment]
        return response

    app.before_request(authenticate)
    app.after_request(guard)


def _check_scope(caller: Caller, endpoint: str) -> None:
    if endpoint not in SCOPES:
        raise ForbiddenError("No API key may use this route.")
    scope = SCOPES[endpoint]
    if scope is not None:
        caller.require(scope)
