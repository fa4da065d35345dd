from pathlib import Path

from cli.commands.settings import settings_reference
from models.settings import Settings

_DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_is_generated_from_the_settings() -> None:
    assert (_DOCS / "settings.md").read_text() == settings_reference()


def test_every_setting_says_what_it_means() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
