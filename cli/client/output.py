"""What commands print: results on stdout, everything else on stderr, and their exit codes.

0: done. 1: a response failed, or there is a finding. 2: wrong use. 130: ended by Ctrl-C.
"""

import json
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import typer

from cli.client.clean_text import clean_line

FAILED, WRONG_USE, INTERRUPTED = 1, 2, 130


_CUT = ("model", "text", "value", "aliases", "folder")
"""Columns that are cut off where a terminal is narrow."""


def fail(message: str, *, code: int = FAILED) -> NoReturn:
    """Print a message to stderr and exit."""
    typer.echo(message, err=True)
    raise typer.Exit(code)


def print_json(value: Any) -> None:
    """Print a value on one line, in ASCII: no character of it can steer a terminal."""
    typer.echo(json.dumps(value))


def write(text: str) -> None:
    """Write text to stdout at once, without a line feed; it must have been cleaned."""
    sys.stdout.write(text)
    sys.stdout.flush()


def note(text: str) -> None:
    """Print a line for the person at the terminal; nothing where there is none."""
    if sys.stderr.isatty():
        typer.echo(typer.style(clean_line(text), dim=True), err=True)


def is_interactive() -> bool:
    """Return True if a person types at a terminal and reads the output there."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def show(answer: Any, columns: tuple[str, ...], as_json: bool) -> None:
    """Print one line of tab-separated fields per object, or the JSON as received."""
    if as_json:
        print_json(answer)
        return
    for row in answer["data"] if answer.get("object") == "list" else [answer]:
        typer.echo("\t".join(format_cell(row[column]) for column in columns))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table for people on a terminal, else one line of tab-separated fields per row."""
    cells = [[format_cell(value) for value in row] for row in rows]
    if not sys.stdout.isatty():
        for row in cells:
            typer.echo("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        width = max((len(row[columns.index(column)]) for row in cells), default=0)
        is_cut = column in _CUT
        table.add_column(column, no_wrap=True, min_width=None if is_cut else width)
    for row in cells:
        table.add_row(*map(Text, row))
    Console().print(table)


def format_cell(value: Any) -> str:
    """Return a field without the control characters that a terminal would interpret."""
    if value is None:
        return "-"
    text = ",".join(value) if isinstance(value, list) else str(value)
    return "".join(char if char.isprintable() else "?" for char in text)
