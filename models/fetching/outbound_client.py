"""HTTP client for POST requests to URLs from clients, such as webhooks.

Redirects are not followed, proxies from the environment are not used, response bodies are not read,
and the whole request has a time limit.
"""

import asyncio
from collections.abc import Mapping

import httpcore2
import httpx2

from models.fetching.checked_backend import CheckedBackend, OutboundError
from models.fetching.destinations import Destinations
from models.fetching.resolver import RESOLVER, Resolver

TOTAL_S = 10.0
"""Seconds that one request may take, from name resolution to the response status."""


class OutboundClient:
    """HTTP client for POST requests; any number at a time, from one event loop."""

    def __init__(
        self,
        destinations: Destinations,
        *,
        total_s: float = TOTAL_S,
        resolver: Resolver = RESOLVER,
    ) -> None:
        self._destinations = destinations
        self._resolver = resolver
        self._total_s = total_s
        # The environment's SSL_CERT_FILE can add certificate authorities.
        self._tls = httpx2.create_ssl_context()

    async def post(
        self, url: str, *, body: bytes, headers: Mapping[str, str], owner: str = ""
    ) -> int:
        """Send a POST request; return the status code of the response.

        Names are resolved for the `owner` of the URL, and look-ups that hang delay no other owner.

        Raises `UrlRefusedError` for a forbidden destination, `OutboundError` if there is no
        response in time.
        """
        target = self._destinations.target(url)
        backend = CheckedBackend(self._destinations, target, owner, self._resolver)
        try:
            async with (
                asyncio.timeout(self._total_s),
                # One pool per request: owners of endpoints share no connections.
                httpcore2.AsyncConnectionPool(self._tls, network_backend=backend) as pool,
                pool.stream(
                    "POST", target.url, headers=[*headers.items()], content=body
                ) as response,
            ):
                return int(response.status)
        except TimeoutError:
            raise OutboundError(f"no answer within {self._total_s:g} s") from None
        except (OSError, httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            # The error's text may contain internal addresses.
            raise OutboundError(f"no connection ({type(error).__name__})") from None
