from pathlib import Path

import pytest

from models.settings import Settings

_TEXT = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_has_a_row_in_the_operations_page(name: str) -> None:
    alias = Settings.model_fields[name].validation_alias
    variable = alias if isinstance(alias, str) else f"ANTIPHON_{name.upper()}"

    assert f"| `{variable}` |" in _TEXT
