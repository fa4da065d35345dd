"""Servers for the acceptance tests: one with the real engine for all, others made to measure."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.server import ROOT, AntiphonServer

MakeServer = Callable[..., AntiphonServer]


@pytest.fixture(scope="session")
def weights_dir() -> Path:
    """The default weights, fetched once for this checkout."""
    data_dir = ROOT / ".antiphon"
    environment = dict(os.environ) | {"ANTIPHON_DATA_DIR": str(data_dir)}
    command = [sys.executable, str(ROOT / "antiphon"), "models", "pull"]
    subprocess.run(command, env=environment, check=True, cwd=ROOT)
    return data_dir / "weights"


def _make(data_dir: Path, weights_dir: Path | None, settings: dict[str, str]) -> AntiphonServer:
    data_dir.mkdir()
    if weights_dir is not None:
        (data_dir / "weights").symlink_to(weights_dir)
    return AntiphonServer(data_dir, **settings)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, weights_dir: Path) -> Iterator[AntiphonServer]:
    """One running server with the default weights."""
    started = _make(tmp_path_factory.mktemp("shared") / "data", weights_dir, {})
    started.start()
    yield started
    assert started.stop() == 0


@pytest.fixture
def make_server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MakeServer]:
    """Start a server of the test's own: scripted, unless `engine` says otherwise."""
    made: list[AntiphonServer] = []

    def make(**settings: str) -> AntiphonServer:
        settings = {"engine": "scripted", **settings}
        is_real = settings["engine"] == "transformers"
        weights = request.getfixturevalue("weights_dir") if is_real else None
        made.append(_make(tmp_path / f"data-{len(made)}", weights, settings))
        made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.stop()
