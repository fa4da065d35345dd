"""`antiphon settings`: the reference of all settings as Markdown (docs/settings.md)."""

from pathlib import Path
from typing import Any, get_args

from models.settings import Settings, variable_of

_HEAD = """# Settings

Read from the environment, once, when a process starts. A value that is not allowed stops the start
with exit code 2 and names the variable. This page is generated from `models/settings.py` by
`make docs`.

| Variable | Default | Values | Meaning |
|---|---|---|---|
"""


def settings_reference() -> str:
    """Return the page."""
    return _HEAD + "".join(map(_row, Settings.model_fields))


def _row(name: str) -> str:
    field = Settings.model_fields[name]
    meaning = " ".join((field.description or "").split())
    cells = (f"`{variable_of(name)}`", _default(field.default), _values(name), meaning)
    return f"| {' | '.join(cells)} |\n"


def _default(value: Any) -> str:
    if value in (None, "", (), {}):
        return "none"
    if isinstance(value, Path):
        return f"`./{value}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _values(name: str) -> str:
    """Return the allowed values, or the limits of a number."""
    field = Settings.model_fields[name]
    if isinstance(field.default, bool):
        return "`true`, `false`"
    choices = [value for value in get_args(field.annotation) if isinstance(value, str)]
    limits = [
        f"{sign} {getattr(constraint, attribute)}"
        for constraint in field.metadata
        for attribute, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
        if hasattr(constraint, attribute)
    ]
    return ", ".join([f"`{choice}`" for choice in choices] or limits)
