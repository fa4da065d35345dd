"""Bytes of request bodies that one process may hold at a time, of all its clients together.

A body takes bytes of the budget as they arrive or are decompressed, and gives them back when its
request has been answered. One that declares its size is refused at once if there is no room for it.
Bodies of ordinary size are served from a part that large ones leave alone. One client may take half
of what large ones may, and three quarters of all.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from models.errors import OverloadedError, TooManyBodyBytesError

ORDINARY_BYTES = 1 << 20
"""Size up to which a body is ordinary."""


class BodyBudget:
    """Budget of all bodies in flight, shared by threads and the event loop."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._max_large_bytes = max_bytes * 3 // 4
        self._max_client_bytes = max_bytes * 3 // 4
        self._max_large_client_bytes = self._max_large_bytes // 2
        self._lock = threading.Lock()
        self._num_bytes = 0
        self._num_large_bytes = 0
        self._num_large_returned = 0
        self._by_client: Counter[str] = Counter()
        self._large_by_client: Counter[str] = Counter()

    @property
    def num_bytes(self) -> int:
        """Number of bytes that are taken."""
        return self._num_bytes

    @property
    def num_large_returned(self) -> int:
        """Number of bytes that large bodies have given back so far."""
        return self._num_large_returned

    def lease(self, client: str) -> "BodyLease":
        """Return an empty lease of one body of a client."""
        return BodyLease(self, client)

    def take(self, lease: "BodyLease", num_bytes: int) -> None:
        """Add bytes to a lease; raise `OverloadedError`, and add none, if they are too many."""
        with self._lock:
            self._add(lease, num_bytes, self._check(lease, num_bytes))

    def check(self, lease: "BodyLease", num_bytes: int) -> None:
        """Raise `OverloadedError` if there is no room for so many more bytes now; take none."""
        with self._lock:
            self._check(lease, num_bytes)

    def give_back(self, lease: "BodyLease") -> None:
        """Empty a lease."""
        with self._lock:
            self._num_large_returned += lease.num_large_bytes
            self._add(lease, -lease.num_bytes, -lease.num_large_bytes)

    def _check(self, lease: "BodyLease", num_bytes: int) -> int:
        """Return how many more bytes of large bodies there would be; raise if too many."""
        size = lease.num_bytes + num_bytes
        large = size - lease.num_large_bytes if size > ORDINARY_BYTES else 0
        if self._is_exceeded(num_bytes, large):
            raise OverloadedError("Too many bytes of request bodies in flight; try again.")
        if self._is_exceeded_by(lease.client, num_bytes, large):
            raise TooManyBodyBytesError
        return large

    def _is_exceeded(self, num_bytes: int, num_large_bytes: int) -> bool:
        return self._num_bytes + num_bytes > self._max_bytes or (
            num_large_bytes > 0 and self._num_large_bytes + num_large_bytes > self._max_large_bytes
        )

    def _is_exceeded_by(self, client: str, num_bytes: int, num_large_bytes: int) -> bool:
        return self._by_client[client] + num_bytes > self._max_client_bytes or (
            num_large_bytes > 0
            and self._large_by_client[client] + num_large_bytes > self._max_large_client_bytes
        )

    def _add(self, lease: "BodyLease", num_bytes: int, num_large_bytes: int) -> None:
        lease.num_bytes += num_bytes
        lease.num_large_bytes += num_large_bytes
        self._num_bytes += num_bytes
        self._num_large_bytes += num_large_bytes
        _add_to(self._by_client, lease.client, num_bytes)
        _add_to(self._large_by_client, lease.client, num_large_bytes)


def _add_to(counter: Counter[str], client: str, number: int) -> None:
    counter[client] += number
    if not counter[client]:
        del counter[client]


class BodyLease:
    """Share of the budget that one body has taken."""

    __slots__ = ("_budget", "client", "num_bytes", "num_large_bytes")

    def __init__(self, budget: BodyBudget, client: str) -> None:
        self._budget = budget
        self.client = client
        self.num_bytes = 0
        self.num_large_bytes = 0
        """All of its bytes once it is no longer of ordinary size, before that none."""

    def grow(self, num_bytes: int) -> None:
        """Take more bytes; raise `OverloadedError` if there is no room for them."""
        self._budget.take(self, num_bytes)

    def check(self, num_bytes: int) -> None:
        """Raise `OverloadedError` if there is no room for so many more bytes now."""
        self._budget.check(self, num_bytes)

    def release(self) -> None:
        """Give all bytes back; no effect if that was done."""
        self._budget.give_back(self)


_current: ContextVar[BodyLease | None] = ContextVar("lease", default=None)


@contextmanager
def handling(lease: BodyLease) -> Iterator[None]:
    """Handle the request whose body has taken a lease: what is added to it counts there, too."""
    token = _current.set(lease)
    try:
        yield
    finally:
        _current.reset(token)


def find_grow() -> Callable[[int], object]:
    """Return the function that takes bytes for the request that this thread handles.

    It may be called in any thread until the request is answered. Without a server, it takes none.
    """
    lease = _current.get()
    return _take_none if lease is None else lease.grow


def _take_none(num_bytes: int) -> None:
    """Count no bytes."""
