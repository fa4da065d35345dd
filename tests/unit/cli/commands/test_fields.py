"""The section of docs/protocol.md about fields is what the command writes."""

from pathlib import Path

import pytest

from cli.commands.fields import fields_reference, write_reference

_PAGE = Path(__file__).parents[4] / "docs" / "protocol.md"


def test_the_page_has_the_section_as_it_is_generated() -> None:
    assert fields_reference() in _PAGE.read_text()


def test_writing_replaces_the_section_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    text = _PAGE.read_text()
    page.write_text(text.replace("| honoured |", "| ignored |"))

    write_reference(page)

    assert page.read_text() == text


def test_a_page_without_the_section_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page\n")

    with pytest.raises(ValueError, match="no section of fields"):
        write_reference(page)
    assert page.read_text() == "# A page\n"
