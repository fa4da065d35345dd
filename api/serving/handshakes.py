"""TLS handshakes of one process: bounded in number and time, as a client may never finish one."""

import asyncio
import socket
import ssl
from asyncio import sslproto
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from api.serving.limits import ServingLimits

_BUFFER_BYTES = 1 << 14
"""Size of the read buffer of a TLS connection: that of the largest TLS record."""


class Handshakes:
    """Handshakes in progress; used in the event loop alone."""

    def __init__(self, context: ssl.SSLContext, limits: ServingLimits) -> None:
        # asyncio has no setting for it; its own 256 KiB are all resident for each connection.
        sslproto.SSLProtocol.max_size = _BUFFER_BYTES
        self._context = context
        self._limits = limits
        self._pending: dict[asyncio.Task[object], None] = {}
        """Tasks of handshakes, the oldest first."""
        self._by_client: Counter[str] = Counter()

    async def run(
        self, make_protocol: Callable[[], asyncio.Protocol], accepted: socket.socket, client: str
    ) -> None:
        """Shake hands on an accepted connection, then hand it to the protocol.

        One client may have half of all handshakes; of all, the oldest gives way to a new one.
        """
        if self._by_client[client] >= self._limits.max_handshakes // 2:
            accepted.close()
            return
        if len(self._pending) >= self._limits.max_handshakes:
            next(iter(self._pending)).cancel()
        task = asyncio.current_task()
        assert task is not None
        self._pending[task] = None
        self._by_client[client] += 1
        try:
            await self._shake(make_protocol, accepted)
        finally:
            self._pending.pop(task)
            self._by_client[client] -= 1
            if not self._by_client[client]:
                del self._by_client[client]

    async def _shake(
        self, make_protocol: Callable[[], asyncio.Protocol], accepted: socket.socket
    ) -> None:
        with suppress(OSError):  # no handshake, or none in time
            await asyncio.get_running_loop().connect_accepted_socket(
                make_protocol,
                accepted,
                ssl=self._context,
                ssl_handshake_timeout=self._limits.head_s,
                ssl_shutdown_timeout=self._limits.linger_s,
            )
