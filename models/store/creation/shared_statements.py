"""Statements that several threads share, as databases do with their commits ("group commit").

While one statement is being executed, further rows of the same project wait for it, and are then
written by one statement: the more requests there are at once, the less each of them costs. A row
that comes alone is written at once.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum, auto

from models.errors import UnavailableError
from models.outages import StatementError

MAX_ROWS = 32
"""Rows of one statement."""
MAX_BYTES = 1 << 18
"""Bytes of the rows of one statement; a longer row is alone in its statement."""
PATIENCE_S = 0.05
"""Seconds for which a row waits for the statement of others. Most take less than a tenth of it; one
that hangs delays others by no more."""
LIMIT_S = 60.0
"""Seconds after which a row is given up whose statement has not ended: longer than the limits of
pool, connection and statement together."""

Write = Callable[[str, Sequence[bytes]], None]
"""Function that executes a statement with rows of a project: all of them are written, or none.

Raises `StatementError` if none is, for the values of one, and `UnavailableError` if that is not
known."""


class _Turn(Enum):
    """How a row that has waited goes on."""

    WRITTEN = auto()
    """A statement has written it."""
    FIRST = auto()
    """Its thread writes it now, with others that wait."""
    ALONE = auto()
    """Its thread writes it alone, since a statement with it was rejected, maybe for others."""
    UNKNOWN = auto()
    """Its statement has failed in a way that does not tell if it took effect."""


class _Row:
    """Row of one thread."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.goes_on = threading.Semaphore(0)
        self.turn: _Turn | None = None
        """None while it waits."""
        self.outage: UnavailableError | None = None


class _Queue:
    """Rows of one project that wait, and the number of threads that write some."""

    def __init__(self) -> None:
        self.waiting: deque[_Row] = deque()
        self.num_writing = 0

    def fill(self, rows: list[_Row]) -> None:
        """Add those that wait and fit into one statement with the first row."""
        size = len(rows[0].content)
        while self.waiting and len(rows) < MAX_ROWS:
            size += len(self.waiting[0].content)
            if size > MAX_BYTES:
                break
            self.waiting[0].turn = _Turn.UNKNOWN
            rows.append(self.waiting[0])
            self.waiting.popleft()

    def begin(self, row: _Row) -> None:
        """Let the thread of a row write it."""
        self.num_writing += 1
        row.turn = _Turn.FIRST

    def end(self) -> None:
        """Note that a thread has written; if it was the last one, let one that waits begin."""
        self.num_writing -= 1
        if self.waiting and not self.num_writing:
            row = self.waiting.popleft()
            self.begin(row)
            row.goes_on.release()


class SharedStatements:
    """Writer of rows; safe from any thread."""

    def __init__(self, write: Write, *, patience_s: float = PATIENCE_S) -> None:
        """Create it; `write` may be called from several threads at once."""
        self._write = write
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._queues: dict[str, _Queue] = {}

    def write(self, project_id: str, content: bytes) -> None:
        """Write a row of a project, alone or with others; return once it is written.

        Raises `UnavailableError` if it is not known if it was, and `StatementError` if this row is
        rejected.
        """
        row = _Row(content)
        self._begin_or_wait(project_id, row)
        if row.turn is _Turn.FIRST:
            self._write_some(project_id, row)
        if row.turn is _Turn.ALONE:
            self._write(project_id, [content])
        elif row.turn is not _Turn.WRITTEN:
            raise _outage_of(row)

    def _begin_or_wait(self, project_id: str, row: _Row) -> None:
        with self._lock:
            queue = self._queues.setdefault(project_id, _Queue())
            if not queue.num_writing:
                queue.begin(row)
                return
            queue.waiting.append(row)
        if row.goes_on.acquire(timeout=self._patience_s):
            return
        with self._lock:
            if row.turn is None:
                queue.waiting.remove(row)
                queue.begin(row)
                return
        # It is being written, or has just been told to begin.
        row.goes_on.acquire(timeout=LIMIT_S)

    def _write_some(self, project_id: str, mine: _Row) -> None:
        """Write a row and others that wait, then let another thread begin."""
        rows = [mine]
        try:
            with self._lock:
                self._queues[project_id].fill(rows)
            self._write_rows(project_id, rows)
        finally:
            try:
                for row in rows[1:]:
                    row.goes_on.release()
            finally:
                self._end(project_id)

    def _write_rows(self, project_id: str, rows: Sequence[_Row]) -> None:
        try:
            self._write(project_id, [row.content for row in rows])
        except StatementError:
            # One of the rows is at fault, and none is written: each thread writes its own alone.
            if len(rows) == 1:
                raise
            turn = _Turn.ALONE
        except UnavailableError as error:
            for row in rows:
                row.outage = error
            raise
        else:
            turn = _Turn.WRITTEN
        for row in rows:
            row.turn = turn

    def _end(self, project_id: str) -> None:
        with self._lock:
            queue = self._queues[project_id]
            queue.end()
            if not queue.num_writing:
                del self._queues[project_id]


def _outage_of(row: _Row) -> UnavailableError:
    """Return the error of a row of which is not known if it was written.

    Each thread raises one of its own, since a traceback is part of an error.
    """
    if row.outage is None:
        return UnavailableError("The statement of the request has failed.")
    error = type(row.outage)(row.outage.message)
    error.__cause__ = row.outage.__cause__
    return error
