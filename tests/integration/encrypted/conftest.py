"""Tests of other folders with content keys: whoever uses the API sees no difference."""

from pathlib import Path

import pytest

from models.settings import Settings
from tests.content_keys import write_content_keys


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """Return the settings with a file of content keys."""
    return settings.model_copy(update={"content_keys_file": write_content_keys(tmp_path)})
