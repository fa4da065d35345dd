"""Servers made to measure; the one that all share is in `tests/conftest.py`."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.server import AntiphonServer, make_in

MakeServer = Callable[..., AntiphonServer]


@pytest.fixture
def make_server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MakeServer]:
    """Start a server of the test's own: scripted, unless `engine` says otherwise."""
    made: list[AntiphonServer] = []

    def make(**settings: str) -> AntiphonServer:
        settings = {"engine": "scripted", **settings}
        is_real = settings["engine"] == "transformers"
        weights = request.getfixturevalue("weights_dir") if is_real else None
        made.append(make_in(tmp_path / f"data-{len(made)}", weights, settings))
        made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.stop()
