"""Number of generated inputs, and what holds for the answer to each of them."""

import os
from collections import Counter

import orjson
from werkzeug.test import TestResponse

from models.errors import MAX_MESSAGE_BYTES

NUM_INPUTS = int(os.environ.get("FUZZ_INPUTS", "600"))
"""Inputs of all generators together; `make fuzz` sets more."""
SECONDS_PER_INPUT = 0.3
"""Limit of time of each of them, on average."""

_ERROR_KEYS = {"message", "type", "param", "code"}


class Tally:
    """Number of answers by status."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._counts: Counter[int] = Counter()

    @property
    def num_inputs(self) -> int:
        """Number of inputs that were answered."""
        return self._counts.total()

    def add(self, status: int) -> None:
        """Count an answer."""
        self._counts[status] += 1

    def report(self) -> None:
        """Print the number of inputs, and of answers by status."""
        counts = ", ".join(f"{status}: {count}" for status, count in sorted(self._counts.items()))
        print(f"\n{self._name}: {self.num_inputs} generated inputs ({counts})")


def check_answer(answer: TestResponse) -> None:
    """Fail for a 5xx, for an answer without a request id, and for an error of another form."""
    status, data = answer.status_code, answer.data
    assert status < 500, data[:2000]
    assert answer.headers["x-request-id"]
    if status >= 400:
        check_error(data)


def check_error(data: bytes) -> None:
    """Fail for a body that is not that of an error."""
    body = orjson.loads(data)
    assert body.keys() == {"error"}
    error = body["error"]
    assert error.keys() == _ERROR_KEYS
    assert isinstance(error["type"], str)
    assert 0 < len(error["message"].encode()) <= MAX_MESSAGE_BYTES
    assert all(error[name] is None or isinstance(error[name], str) for name in ("param", "code"))
