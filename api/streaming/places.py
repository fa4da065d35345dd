"""Places of one process for what its clients may have a number of at a time, such as streams."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from models.errors import OverloadedError, TooManyStreamsError


def _unlimited(project_id: str, num_here: int) -> int | None:
    return None


class Places:
    """Counter of the places that are taken, in all, by each client and by each project."""

    def __init__(
        self,
        max_places: int,
        max_client_places: int,
        exceeded_limit: Callable[[str, int], int | None] = _unlimited,
        *,
        what: str = "open streams",
        refusal: type[OverloadedError] = TooManyStreamsError,
    ) -> None:
        """Create the counter.

        `exceeded_limit` returns the limit of a project if it has no room beside the places that it
        has in this process, else None. `refusal` is the error if one client takes too many.
        """
        self._what = what
        self._refusal = refusal
        self._max_places = max_places
        self._max_client_places = max_client_places
        self._exceeded_limit = exceeded_limit
        self._lock = threading.Lock()
        self._by_client: Counter[str] = Counter()
        self._by_project: Counter[str] = Counter()

    @property
    def num_taken(self) -> int:
        """Number of places that are taken."""
        return self._by_client.total()

    def num_of_project(self, project_id: str) -> int:
        """Return the number of places that a project has taken."""
        return self._by_project.get(project_id, 0)

    @contextmanager
    def reserve(self, client: str, project_id: str = "") -> Iterator[None]:
        """Take a place for a client of a project; raise an `AppError` if there is none."""
        self._take(client, project_id)
        try:
            yield
        finally:
            with self._lock:
                _subtract(self._by_client, client)
                _subtract(self._by_project, project_id)

    def _take(self, client: str, project_id: str) -> None:
        with self._lock:
            limit = self._exceeded_limit(project_id, self.num_of_project(project_id))
            if limit is not None:
                raise TooManyStreamsError(
                    f"The project may have {limit} open streams, WebSockets and waiting requests; "
                    "close some, or try again."
                )
            if self._by_client[client] >= self._max_client_places:
                raise self._refusal
            if self._by_client.total() >= self._max_places:
                raise OverloadedError(f"Too many {self._what}; try again.")
            self._by_client[client] += 1
            self._by_project[project_id] += 1


def _subtract(counter: Counter[str], name: str) -> None:
    counter[name] -= 1
    if not counter[name]:
        del counter[name]
