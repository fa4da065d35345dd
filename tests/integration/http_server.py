"""HTTP server around the app, for tests that need a socket."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator

from flask_openapi3.openapi import OpenAPI

from api.http.origins import AllowedOrigins
from api.services import Services
from api.serving.http_server import HttpServer
from api.serving.limits import ServingLimits
from tests.polling import PATIENCE_S


@contextlib.contextmanager
def serving(
    app: OpenAPI,
    limits: ServingLimits = ServingLimits(),
    *,
    tls: ssl.SSLContext | None = None,
) -> Iterator[str]:
    """Serve the app on a free port; yield `host:port`."""
    services: Services = app.extensions["antiphon"]
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        origins = AllowedOrigins.of(services.settings)
        server = HttpServer(
            app, services.loop, services.body_budget, limits, origins, services.door
        )
        server.start([listener], tls)
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        server.stop(grace_s=0.2)
        services.loop.spawn(_reset_all(server)).result(PATIENCE_S)


async def _reset_all(server: HttpServer) -> None:
    for connection in list(server.connections):
        connection.abort()
    while server.connections:
        await asyncio.sleep(0)
