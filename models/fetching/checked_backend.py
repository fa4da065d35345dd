"""Connections to the addresses that were checked, which prevents DNS rebinding.

A host name is resolved here, once, and the connection goes to the address that was checked.
"""

import asyncio
from collections.abc import Iterable

import httpcore2

from models.fetching.destinations import Destinations, Target
from models.fetching.public_addresses import Address
from models.fetching.resolver import RESOLVER, Resolver, UnresolvedError


class OutboundError(Exception):
    """Raised for a request without a response; the message says why, without the URL."""


class CheckedBackend(httpcore2.AsyncNetworkBackend):
    """Network backend that resolves a name, checks its addresses and connects only to those."""

    def __init__(
        self,
        destinations: Destinations,
        target: Target,
        owner: str,
        resolver: Resolver = RESOLVER,
    ) -> None:
        self._destinations = destinations
        self._target = target
        self._owner = owner
        self._resolver = resolver
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first reachable address of the host, if all its addresses are allowed."""
        look_up = self._resolver.submit(self._owner, self._target.host, self._target.port)
        addresses = await asyncio.wrap_future(look_up)
        if isinstance(addresses, UnresolvedError):
            raise OutboundError(str(addresses))
        for address in addresses:
            self._destinations.check(self._target, address)
        for address in addresses[:-1]:
            try:
                return await self._inner.connect_tcp(str(address), port, timeout)
            except httpcore2.NetworkError:
                continue
        return await self._inner.connect_tcp(str(addresses[-1]), port, timeout)


def look_up(target: Target, *, owner: str, within_s: float) -> list[Address]:
    """Return the addresses of a target's host; [] if it does not resolve in `within_s` seconds."""
    try:
        found = RESOLVER.submit(owner, target.host, target.port).result(timeout=within_s)
    except TimeoutError:
        return []
    return [] if isinstance(found, UnresolvedError) else found
