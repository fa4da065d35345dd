"""Name resolution in threads, none of which one owner of names can take from another."""

import socket
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from ipaddress import ip_address

from models.fetching.public_addresses import Address

MAX_PER_OWNER = 4
"""Look-ups of one owner at a time: a hanging one cannot be cancelled, and blocks its thread."""
MAX_LOOK_UPS = 512
"""Look-ups of all owners at a time."""


class UnresolvedError(Exception):
    """Raised for a name without an address; the message says why."""


Found = list[Address] | UnresolvedError
FindAddresses = Callable[[str, int], Found]
"""Function that resolves the name of a host with a port; it may block."""


@dataclass(slots=True)
class Resolver:
    """Resolver of host names; look-ups of the same name for the same owner share one thread.

    The threads are daemons, so that a hanging look-up does not keep the process from ending.
    """

    max_per_owner: int = MAX_PER_OWNER
    max_look_ups: int = MAX_LOOK_UPS
    find: FindAddresses | None = None
    """Function that resolves a name instead of the system."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _running: dict[tuple[str, str, int], Future[Found]] = field(default_factory=dict)
    _num_by_owner: Counter[str] = field(default_factory=Counter)

    def submit(self, owner: str, host: str, port: int) -> Future[Found]:
        """Start the look-up of a name, or join the one that runs; errors are results."""
        key = (owner, host, port)
        with self._lock:
            if key in self._running:
                return self._running[key]
            is_full = len(self._running) >= self.max_look_ups
            future: Future[Found] = Future()
            future.set_running_or_notify_cancel()  # waiters that give up cannot cancel it
            if is_full or self._num_by_owner[owner] >= self.max_per_owner:
                future.set_result(UnresolvedError("earlier look-ups of names have not ended"))
                return future
            self._running[key] = future
            self._num_by_owner[owner] += 1
        threading.Thread(target=self._run, args=[key], name="look-up", daemon=True).start()
        return future

    def _run(self, key: tuple[str, str, int]) -> None:
        owner, host, port = key
        found = (self.find or _look_up)(host, port)
        with self._lock:
            future = self._running.pop(key)
            self._num_by_owner[owner] -= 1
            if not self._num_by_owner[owner]:
                del self._num_by_owner[owner]
        future.set_result(found)


def _look_up(host: str, port: int) -> Found:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return [ip_address(str(info[4][0]).partition("%")[0]) for info in found]
    except (OSError, ValueError):
        return UnresolvedError("its name does not resolve")


RESOLVER = Resolver()
"""Resolver of a process, which bounds the threads of all its look-ups."""
