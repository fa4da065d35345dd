"""Places of one process for what its clients may have a number of at a time, such as streams."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from models.errors import OverloadedError, TooManyStreamsError


class Places:
    """Counter of the places that are taken, in all and by each client."""

    def __init__(
        self,
        max_places: int,
        max_client_places: int,
        *,
        what: str = "open streams",
        refusal: type[OverloadedError] = TooManyStreamsError,
    ) -> None:
        """Create the counter; `refusal` is the error if one client takes too many."""
        self._what = what
        self._refusal = refusal
        self._max_places = max_places
        self._max_client_places = max_client_places
        self._lock = threading.Lock()
        self._by_client: Counter[str] = Counter()

    @property
    def num_taken(self) -> int:
        """Number of places that are taken."""
        return self._by_client.total()

    @contextmanager
    def reserve(self, client: str) -> Iterator[None]:
        """Take a place for a client; raise an `AppError` if there is none."""
        self._take(client)
        try:
            yield
        finally:
            with self._lock:
                self._by_client[client] -= 1
                if not self._by_client[client]:
                    del self._by_client[client]

    def _take(self, client: str) -> None:
        with self._lock:
            if self._by_client[client] >= self._max_client_places:
                raise self._refusal
            if self._by_client.total() >= self._max_places:
                raise OverloadedError(f"Too many {self._what}; try again.")
            self._by_client[client] += 1
