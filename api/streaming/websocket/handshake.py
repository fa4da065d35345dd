"""WebSocket on /v1/responses: the handshake, and the connection in the event loop.

RFC 6455 §4.2: a request that is no valid handshake is answered with an error over HTTP.
"""

import asyncio
import base64
import binascii
from functools import partial

from flask import Blueprint, Response, request
from wsproto.utilities import generate_accept_token

from api.access.current import current_caller
from api.event_loop.loop_body import LoopBody, Outlet, respond_with
from api.http.errors import WEBSOCKET_VERSION
from api.services import Services, services
from api.streaming.cancel import cancel, clean_up
from api.streaming.event_names import read_naming
from api.streaming.temporary import find_response
from api.streaming.websocket.contexts import ConnectionContexts, UnstoredContext
from api.streaming.websocket.dispatcher import Dispatcher
from api.streaming.websocket.errors import UpgradeRequiredError
from api.streaming.websocket.frames import TRY_AGAIN_LATER, FrameSocket, SocketClosedError
from api.streaming.websocket.opening import Session, TurnActions
from api.streaming.websocket.server_events import format_error
from api.streaming.websocket.turns import make_turn
from api.validation.context import Context
from api.validation.create_request import create_response
from models.access.caller import Caller
from models.errors import InvalidRequestError, OverloadedError
from models.responses.record import ResponseRecord
from models.schemas.request.create_response import CreateResponse
from models.settings import EventNaming
from models.tracing.spans import current_span, within

blueprint = Blueprint("websocket", __name__)


@blueprint.route("/v1/responses", websocket=True)
def serve_websocket() -> Response:
    """Check the handshake and serve one connection, which takes one of the places of streams."""
    if request.headers.get("Sec-WebSocket-Version") != WEBSOCKET_VERSION:
        raise UpgradeRequiredError
    key = request.headers.get("Sec-WebSocket-Key", "")
    if not _is_key(key):
        message = "Sec-WebSocket-Key must be 16 bytes in base64."
        raise InvalidRequestError(message, code="invalid_websocket_handshake")
    naming = read_naming(services().settings.reasoning_events)
    return respond_with(WebSocketBody(services(), current_caller(), key, naming))


class WebSocketBody(LoopBody):
    """Body that is a WebSocket connection."""

    def __init__(self, services: Services, caller: Caller, key: str, naming: EventNaming) -> None:
        self._services = services
        self._caller = caller
        self._key = key
        self._naming = naming
        self._span = current_span()
        """Span of the handshake, which ends with the connection."""

    async def send(self, outlet: Outlet) -> None:
        """Accept the connection and serve it until it ends."""
        socket = FrameSocket(outlet, self._services.body_budget)
        token = generate_accept_token(self._key.encode())
        headers = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", token.decode()),
        ]
        outlet.upgrade(headers, socket.receive)
        try:
            with self._services.places.reserve(outlet.client, self._caller.project_id):
                await self._serve(socket, outlet.client)
        except OverloadedError as error:
            socket.send(format_error(error))
            socket.close(TRY_AGAIN_LATER)
        except (SocketClosedError, asyncio.CancelledError):
            pass  # closed by either side; whatever ran for the client is cleaned up
        finally:
            socket.release()

    async def _serve(self, socket: FrameSocket, client: str) -> None:
        services = self._services
        actions = TurnActions(
            create=self._create,
            find=partial(find_response, services),
            cancel=partial(cancel, services),
            clean_up=partial(clean_up, services),
        )
        session = Session(
            services=services,
            caller=self._caller,
            socket=socket,
            client=client,
            naming=self._naming,
            actions=actions,
            contexts=ConnectionContexts(services.context_cache),
        )
        await Dispatcher(session, partial(make_turn, session)).serve()

    def _create(self, request: CreateResponse, unstored: UnstoredContext | None) -> ResponseRecord:
        """Create a response; `unstored` is the context that only this connection has."""
        context = None
        if unstored is not None:
            previous_id, items = unstored.previous_id, unstored.items
            context = Context(previous_id=previous_id, items=items, is_inline=True)
        # Its project may have changed since the handshake.
        caller = self._services.authenticator.renew(self._caller)
        with within(self._span):
            return create_response(self._services, caller, request, context)

    def abandon(self) -> None:
        """Do nothing: no request has been received."""


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False
