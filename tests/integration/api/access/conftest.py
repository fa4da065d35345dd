"""Fixtures of the tests of authentication: a server with a secret file, whose caches are short."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from models.settings import Settings
from models.store.store import Store


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    path = tmp_path / "secret"
    path.write_text("a secret of the server\n")
    return settings.model_copy(update={"secret_file": path})


@pytest.fixture
def key_store(settings: Settings) -> Iterator[Store]:
    """Return a store that can create keys."""
    assert settings.database_url is not None
    url, path = settings.database_url, settings.secret_file
    with closing(Store.open(url, pool_size=1, secret_file=path)) as store:
        yield store
