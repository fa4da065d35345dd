"""`antiphon fields`: what becomes of every field of a request, as a section of docs/protocol.md."""

from pathlib import Path

from models.schemas.fields.items import ITEMS, PARTS
from models.schemas.fields.request import FORMAT, HINTS, REASONING, SAMPLING, TURN
from models.schemas.fields.tools import CHOICE, TOOLS
from models.schemas.fields.treatment import FieldNotes

_BEGIN = "<!-- written by `make docs` from models/schemas/fields -->\n"
_END = "<!-- end of what `make docs` writes -->\n"
_HEAD = """
Every field that the API knows is *honoured*, or is accepted and has *no effect* on answers, or is
*refused* by name (400 `unsupported_parameter`). Null is accepted wherever a field is not required,
and changes nothing; so do the values named beside what is refused. A field that nobody knows is
refused (`unknown_parameter`).
"""
_TABLES: tuple[tuple[str, str, FieldNotes], ...] = (
    ("", "field", TURN | SAMPLING | FORMAT | REASONING | CHOICE | HINTS),
    ("### Tools\n", "type, and its fields", TOOLS),
    ("### Items\n", "type, and its fields", ITEMS),
    ("### Parts\n", "type, and its fields", PARTS),
)


def fields_reference() -> str:
    """Return the section."""
    tables = (_table(title, column, notes) for title, column, notes in _TABLES)
    return "".join([_BEGIN, _HEAD, *tables, "\n", _END])


def write_reference(page: Path) -> None:
    """Replace the section in a page; raise `ValueError` if the page has none."""
    text = page.read_text()
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{page} has no section of fields")
    page.write_text(before + fields_reference() + after)


def _table(title: str, column: str, notes: FieldNotes) -> str:
    rows = (f"| `{path}` | {note.treatment} | {note.note} |\n" for path, note in notes.items())
    head = f"\n{title}\n" if title else "\n"
    return "".join([head, f"| {column} | | notes |\n|---|---|---|\n", *rows])
