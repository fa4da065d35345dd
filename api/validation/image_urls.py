"""Images at addresses in requests: fetched before anything is stored, and kept with their part.

So a request whose image cannot be fetched is refused, and whatever reads the part later sees the
same pixels: the worker, another attempt, the next turn.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from api.event_loop.bounded_pool import MAX_ELSEWHERE, waiting_elsewhere
from api.event_loop.loop import EventLoop
from api.http.body_budget import find_grow
from api.http.strict_json import MAX_BODY_BYTES
from api.streaming.client_disconnect import ClientGoneError, find_client_check
from api.streaming.places import Places
from api.validation.parts import iterate_parts
from models.errors import (
    InvalidRequestError,
    PermissionMissingError,
    TooManyFetchesError,
    UnavailableError,
)
from models.fetching.checked_backend import OutboundError
from models.fetching.destinations import Destinations, UrlRefusedError
from models.fetching.fetcher import Fetcher, FetchLimits, TooLargeError
from models.fetching.resolver import Resolver
from models.media.images import (
    MAX_IMAGE_BYTES,
    MAX_IMAGES,
    image_too_large,
    is_remote,
    keep_fetched,
    refuse_remote,
)
from models.settings import Settings

TOTAL_S = 10.0
"""Seconds that the images of one request may take together."""
MAX_FETCHING = MAX_ELSEWHERE
"""Requests of one process whose images are being fetched."""
MAX_LOOK_UPS = 64
"""Look-ups of names of one project at a time; more fail while those have not ended."""
_MAX_PARALLEL = 8
"""Fetches of one request at a time."""
_POLL_S = 0.1
"""Seconds between two checks that the client is still there."""

Grow = Callable[[int], object]


class ImageUrls:
    """Fetcher of the images of requests; its methods are called in threads."""

    def __init__(
        self,
        loop: EventLoop,
        fetcher: Fetcher | None,
        *,
        total_s: float = TOTAL_S,
        max_total_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        """Create it; without a fetcher, addresses are refused.

        `max_total_bytes` are those of all images that are fetched for one request.
        """
        self._loop = loop
        self._fetcher = fetcher
        self._total_s = total_s
        self._max_total_bytes = max_total_bytes
        self._places = Places(
            MAX_FETCHING,
            MAX_FETCHING // 2,
            what="requests with images to fetch",
            refusal=TooManyFetchesError,
        )

    def fetch(
        self,
        items: Sequence[dict[str, Any]],
        *,
        owner: str,
        is_permitted: bool = True,
        field: str = "input",
    ) -> None:
        """Fetch the images of items and keep them in their parts.

        Their bytes belong to the budget of all bodies. Raises an `InvalidRequestError` that names
        the part if its image cannot be had, a `PermissionMissingError` unless its owner
        `is_permitted` to have any, and an `OverloadedError` if too many are being fetched.
        """
        remote = {
            f"{path}.image_url": part
            for path, part in iterate_parts(items, field)
            if part.get("type") == "input_image" and is_remote(part)
        }
        if not remote:
            return
        if not is_permitted:
            raise PermissionMissingError("image_urls", param=next(iter(remote)))
        if self._fetcher is None:
            raise refuse_remote(next(iter(remote)))
        if len(remote) > MAX_IMAGES:
            message = f"There are {len(remote)} images to fetch; at most {MAX_IMAGES} are."
            raise InvalidRequestError(message, param=[*remote][MAX_IMAGES])
        contents = self._fetch({name: part["image_url"] for name, part in remote.items()}, owner)
        for param, part in remote.items():
            keep_fetched(part, contents[part["image_url"]], param)

    def _fetch(self, urls: Mapping[str, str], owner: str) -> dict[str, bytes]:
        assert self._fetcher is not None
        with (
            self._places.reserve(owner),
            waiting_elsewhere(),
            closing(_Total(find_grow(), self._max_total_bytes)) as total,
        ):
            fetching = _fetch_all(_Fetch(self._fetcher, owner, total), urls, self._total_s)
            return self._wait(self._loop.spawn(fetching))

    def _wait(self, future: "Future[dict[str, bytes]]") -> dict[str, bytes]:
        """Return the result of a future; cancel it once the client has left."""
        has_left = find_client_check()
        while True:
            try:
                return future.result(timeout=_POLL_S)
            except CancelledError:
                raise UnavailableError from None  # the server is stopping
            except TimeoutError:
                if future.done():
                    return future.result()
                if has_left():
                    future.cancel()
                    raise ClientGoneError from None


def make_fetcher(settings: Settings) -> Fetcher | None:
    """Return the fetcher that the settings allow; None if they allow none."""
    if not settings.image_urls:
        return None
    resolver = Resolver(max_per_owner=MAX_LOOK_UPS, max_look_ups=4 * MAX_LOOK_UPS)
    limits = FetchLimits(max_bytes=MAX_IMAGE_BYTES, total_s=TOTAL_S)
    return Fetcher(Destinations(settings.image_networks), limits, resolver=resolver)


async def _fetch_all(fetch: "_Fetch", urls: Mapping[str, str], total_s: float) -> dict[str, bytes]:
    """Return the content at each URL; raise an error that names the field of one that has none."""
    params = {url: param for param, url in reversed([*urls.items()])}
    limiter = asyncio.Semaphore(_MAX_PARALLEL)

    async def run(url: str, param: str) -> bytes:
        async with limiter:
            return await fetch.run(url, param)

    tasks = {url: asyncio.create_task(run(url, param)) for url, param in params.items()}
    try:
        await asyncio.wait(tasks.values(), timeout=total_s, return_when=asyncio.FIRST_EXCEPTION)
        found = {url: task.result() for url, task in tasks.items() if task.done()}
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
    late = next((param for url, param in params.items() if url not in found), None)
    if late is not None:
        message = f"{late} cannot be fetched: all images take more than {total_s:g} s."
        raise InvalidRequestError(message, param=late, code="failed_to_download_image")
    return found


@dataclass(frozen=True, slots=True)
class _Fetch:
    """Fetch of the images of one request."""

    fetcher: Fetcher
    owner: str
    total: "_Total"

    async def run(self, url: str, param: str) -> bytes:
        """Return the content at a URL; raise an error that names the field."""
        headers = {"accept": "image/*"}
        try:
            return await self.fetcher.get(
                url, owner=self.owner, headers=headers, grow=self.total.grow
            )
        except TooLargeError:
            raise image_too_large(param) from None
        except _TogetherTooLargeError as error:
            message = f"{param}: the images of a request {error}."
            raise InvalidRequestError(message, param=param, code="image_too_large") from None
        except (UrlRefusedError, OutboundError) as error:
            is_refused = isinstance(error, UrlRefusedError)
            raise InvalidRequestError(
                f"{param} cannot be fetched: {error}.",
                param=param,
                code="invalid_image_url" if is_refused else "failed_to_download_image",
            ) from None


class _TogetherTooLargeError(Exception):
    """The images of a request have too many bytes together."""


class _Total:
    """Bytes of all images of a request, which are limited together; thread-safe."""

    def __init__(self, grow: Grow, max_bytes: int) -> None:
        self._grow = grow
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._num_bytes = 0

    def grow(self, num_bytes: int) -> None:
        """Count bytes; raise if they are too many, or once it is closed."""
        with self._lock:
            self._num_bytes += num_bytes
            if self._num_bytes > self._max_bytes:
                raise _TogetherTooLargeError(f"have at most {self._max_bytes} bytes together")
            self._grow(num_bytes)

    def close(self) -> None:
        """Take no more bytes: what a thread still decompresses is nobody's any more."""
        with self._lock:
            self._max_bytes = 0
