"""Servers for single tests; the shared one is in `tests/conftest.py`."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.server import AntiphonServer, make_in

MakeServer = Callable[..., AntiphonServer]


@pytest.fixture
def make_server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MakeServer]:
    """Return a function that starts a server for one test, scripted unless `engine` is set."""
    made: list[AntiphonServer] = []

    def make(**settings: str) -> AntiphonServer:
        settings = {"engine": "scripted", **settings}
        is_scripted = settings["engine"] == "scripted"
        weights = None if is_scripted else request.getfixturevalue("weights_dir")
        made.append(make_in(tmp_path / f"data-{len(made)}", weights, settings))
        made[-1].start()
        return made[-1]

    yield make
    for server in made:
        server.stop()
