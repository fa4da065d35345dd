"""Fixtures of the tests of authentication: a server with a secret file, whose caches are short."""

from pathlib import Path

import pytest

from models.settings import Settings
from tests.integration.keys import with_secret


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return with_secret(settings, tmp_path)
