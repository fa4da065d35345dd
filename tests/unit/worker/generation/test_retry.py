"""Writes are retried while the database is unreachable."""

import logging

import pytest

from models.errors import UnavailableError
from tests.unit.worker.generation.memory_log import claimed_response
from worker.generation.retry import WriteRetrier


class Write:
    """Write that fails some times before it succeeds."""

    def __init__(self, num_failures: int, error: type[Exception] = UnavailableError) -> None:
        self.num_failures = num_failures
        self.num_calls = 0
        self._error = error

    def __call__(self) -> str:
        """Raise the error, or return a result."""
        self.num_calls += 1
        if self.num_calls <= self.num_failures:
            raise self._error
        return "written"


def test_it_works() -> None:
    write = Write(num_failures=0)

    assert WriteRetrier(retry_s=0).run(claimed_response(), write) == "written"
    assert write.num_calls == 1


def test_a_write_is_tried_again_until_it_succeeds(caplog: pytest.LogCaptureFixture) -> None:
    write = Write(num_failures=3)

    with caplog.at_level(logging.WARNING):
        assert WriteRetrier(retry_s=0).run(claimed_response(), write) == "written"

    assert write.num_calls == 4
    assert [record.getMessage() for record in caplog.records] == [
        "writes held",
        "over: writes held",
    ]


def test_an_error_that_is_no_outage_is_not_retried() -> None:
    write = Write(num_failures=1, error=KeyError)

    with pytest.raises(KeyError):
        WriteRetrier(retry_s=0).run(claimed_response(), write)

    assert write.num_calls == 1
