"""Servers for single tests; the shared one is in `tests/conftest.py`."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.server import AntiphonServer, make_in

MakeServer = Callable[..., AntiphonServer]


@pytest.fixture
def make_server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MakeServer]:
    """Return a function that starts a server for one test, scripted unless `engine` is set.

    It computes the default weights, unless `model` is set.
    """
    made: list[AntiphonServer] = []

    def make(**settings: str) -> AntiphonServer:
        settings = {"engine": "scripted", **settings}
        has_own = settings["engine"] == "scripted" or "model" in settings
        weights = None if has_own else request.getfixturevalue("weights_dir")
        made.append(make_in(tmp_path / f"data-{len(made)}", weights, settings))
        made[-1].start()
        return made[-1]

    yield make
    for server in made:
        server.stop()
