"""Rows that several threads write by one statement."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from models.errors import DatabaseBusyError, UnavailableError
from models.outages import StatementError
from models.store.creation.shared_statements import MAX_BYTES, MAX_ROWS, SharedStatements
from tests.polling import PATIENCE_S, eventually

_LONG_S = 60.0


class Gate:
    """Statement that waits until it may end, and then ends as it was told to."""

    def __init__(self) -> None:
        self.statements: list[list[bytes]] = []
        self.may_end = threading.Semaphore(0)
        self.errors: list[Exception] = []
        self.poison = b"poison"

    def write(self, _project_id: str, rows: Sequence[bytes]) -> None:
        self.statements.append(list(rows))
        assert self.may_end.acquire(timeout=PATIENCE_S)
        if self.errors:
            raise self.errors.pop(0)
        if self.poison in rows:
            raise StatementError("rejected")

    def let_all_end(self) -> None:
        self.may_end.release(100)


class Writers:
    """Threads that write one row each."""

    def __init__(self, shared: SharedStatements, gate: Gate) -> None:
        self._shared = shared
        self._gate = gate
        self._threads = ThreadPoolExecutor(max_workers=MAX_ROWS + 8)

    def write(self, row: bytes, project_id: str = "one") -> "Future[None]":
        return self._threads.submit(self._shared.write, project_id, row)

    def write_first(self, row: bytes, project_id: str = "one") -> "Future[None]":
        """Begin a statement with this row alone."""
        before = len(self._gate.statements)
        future = self.write(row, project_id)
        eventually(lambda: len(self._gate.statements) > before)
        return future

    def write_waiting(self, *rows: bytes) -> "list[Future[None]]":
        """Make rows wait in this order."""
        futures = []
        for row in rows:
            before = self.num_waiting
            futures.append(self.write(row))
            eventually(lambda before=before: self.num_waiting > before)  # type: ignore[misc]
        return futures

    @property
    def num_waiting(self) -> int:
        queue = self._shared._queues.get("one")
        return len(queue.waiting) if queue else 0

    def close(self) -> None:
        self._gate.let_all_end()
        self._threads.shutdown()


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def shared(gate: Gate) -> SharedStatements:
    return SharedStatements(gate.write, patience_s=_LONG_S)


@pytest.fixture
def writers(shared: SharedStatements, gate: Gate) -> Iterator[Writers]:
    made = Writers(shared, gate)
    yield made
    made.close()


def test_a_row_alone_is_written_at_once(shared: SharedStatements, gate: Gate) -> None:
    gate.let_all_end()

    shared.write("one", b"a")
    shared.write("one", b"b")

    assert gate.statements == [[b"a"], [b"b"]]
    assert shared._queues == {}


def test_rows_that_come_meanwhile_share_a_statement(writers: Writers, gate: Gate) -> None:
    first = writers.write_first(b"a")
    others = writers.write_waiting(b"b", b"c", b"d")

    gate.let_all_end()

    for future in (first, *others):
        future.result(PATIENCE_S)
    assert gate.statements == [[b"a"], [b"b", b"c", b"d"]]


def test_the_rows_of_two_queues_are_written_apart(writers: Writers, gate: Gate) -> None:
    first = writers.write_first(b"a", "one")
    other = writers.write_first(b"b", "two")

    gate.let_all_end()

    first.result(PATIENCE_S)
    other.result(PATIENCE_S)
    assert gate.statements == [[b"a"], [b"b"]]


def test_no_statement_has_more_rows_than_the_limit(writers: Writers, gate: Gate) -> None:
    writers.write_first(b"a")
    rows = [b"%d" % number for number in range(MAX_ROWS + 1)]
    futures = writers.write_waiting(*rows)

    gate.let_all_end()

    for future in futures:
        future.result(PATIENCE_S)
    assert gate.statements[1:] == [rows[:MAX_ROWS], rows[MAX_ROWS:]]


def test_no_statement_has_more_bytes_than_the_limit(writers: Writers, gate: Gate) -> None:
    writers.write_first(b"a")
    half, longest = b"h" * (MAX_BYTES // 2), b"l" * (MAX_BYTES + 1)
    futures = writers.write_waiting(half, half, b"c", longest)

    gate.let_all_end()

    for future in futures:
        future.result(PATIENCE_S)
    assert gate.statements[1:] == [[half, half], [b"c"], [longest]]


def test_a_rejected_row_fails_alone(writers: Writers, gate: Gate) -> None:
    writers.write_first(b"a")
    before, poison, after = writers.write_waiting(b"b", b"poison", b"c")

    gate.let_all_end()

    before.result(PATIENCE_S)
    after.result(PATIENCE_S)
    with pytest.raises(StatementError):
        poison.result(PATIENCE_S)
    assert sorted(gate.statements[2:]) == [[b"b"], [b"c"], [b"poison"]]


def test_a_rejected_row_whose_thread_writes_for_others_fails_alone(
    writers: Writers, gate: Gate
) -> None:
    writers.write_first(b"a")
    poison, other = writers.write_waiting(b"poison", b"b")

    gate.let_all_end()

    other.result(PATIENCE_S)
    with pytest.raises(StatementError):
        poison.result(PATIENCE_S)


@pytest.mark.parametrize("error", [UnavailableError("It is out of reach."), DatabaseBusyError()])
def test_an_outage_is_told_to_all_whose_row_was_in_the_statement(
    writers: Writers, gate: Gate, error: UnavailableError
) -> None:
    first = writers.write_first(b"a")
    second = writers.write_waiting(b"b", b"c")
    gate.may_end.release()
    first.result(PATIENCE_S)
    eventually(lambda: len(gate.statements) == 2)
    later = writers.write_waiting(b"d")

    gate.errors.append(error)
    gate.let_all_end()

    found = [future.exception(30) for future in second]
    assert [type(each) for each in found] == [type(error)] * 2
    assert [str(each) for each in found] == [str(error)] * 2
    assert found[0] is not found[1]
    later[0].result(PATIENCE_S)
    assert gate.statements == [[b"a"], [b"b", b"c"], [b"d"]]


def test_a_failure_of_another_kind_leaves_open_what_was_written(
    shared: SharedStatements, writers: Writers, gate: Gate
) -> None:
    first = writers.write_first(b"a")
    mine, other = writers.write_waiting(b"b", b"c")
    gate.may_end.release()
    first.result(PATIENCE_S)
    eventually(lambda: len(gate.statements) == 2)

    gate.errors.append(MemoryError())
    gate.let_all_end()

    assert isinstance(mine.exception(30), MemoryError)
    assert isinstance(other.exception(30), UnavailableError)
    assert gate.statements == [[b"a"], [b"b", b"c"]]
    shared.write("one", b"d")
    assert shared._queues == {}


def test_those_of_a_rejected_statement_do_not_wait_for_one_another(
    writers: Writers, gate: Gate
) -> None:
    first = writers.write_first(b"a")
    waiting = writers.write_waiting(b"b", b"poison", b"c")
    gate.may_end.release(2)  # of the first statement, and of the rejected one

    eventually(lambda: len(gate.statements) == 5)  # all three at once, and none has ended

    gate.let_all_end()
    first.result(PATIENCE_S)
    assert [type(future.exception(30)) for future in waiting] == [
        type(None),
        StatementError,
        type(None),
    ]


def test_a_row_waits_no_longer_than_its_patience_for_a_statement_that_hangs(gate: Gate) -> None:
    shared = SharedStatements(gate.write, patience_s=0.01)
    writers = Writers(shared, gate)
    try:
        hanging = writers.write_first(b"a")
        impatient = writers.write_first(b"b")
        assert not hanging.done()
    finally:
        writers.close()
    impatient.result(PATIENCE_S)
    hanging.result(PATIENCE_S)
    assert gate.statements == [[b"a"], [b"b"]]
    assert shared._queues == {}


def test_every_row_is_written_once_under_load() -> None:
    written: list[bytes] = []
    lock = threading.Lock()

    def write(_project_id: str, rows: Sequence[bytes]) -> None:
        with lock:
            written.extend(rows)

    shared = SharedStatements(write, patience_s=0.0)
    with ThreadPoolExecutor(16) as threads:
        rows = [b"%d" % number for number in range(2000)]
        list(threads.map(lambda row: shared.write(f"p{len(row)}", row), rows))

    assert sorted(written) == sorted(rows)
    assert shared._queues == {}
