"""A server that answers as it is told to."""

from collections.abc import Iterator

import pytest

from tests.unit.cli.fake_api import FakeApi, serving


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with serving() as served:
        yield served
