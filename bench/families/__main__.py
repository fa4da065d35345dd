"""Comparison of all model families with transformers: `python -m bench.families --seed 1`.

Builds the tiny random network of each family, runs it in the engine, and compares the tokens with
those of `model.generate`. Ends with code 1 if a family loads and is wrong, could not be tried, or
is refused only after its weights were read. `bench.families.tables` writes the results of several
runs into docs/models.md.
"""

import secrets
import sys
from pathlib import Path
from textwrap import shorten
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.families.catalogue import GROUPS, families_named
from bench.families.child import try_in_child
from bench.families.record import append_result, read_results
from bench.families.result import Result
from bench.families.tables.page import group_grid, summary_grid, tally
from bench.report import Circumstances, Grid

_WIDTH = 200


def main(
    seed: Annotated[
        int | None, typer.Option(help="Of weights and prompts; random if none.")
    ] = None,
    only: Annotated[
        list[str], typer.Option(help="Part of a family's name, or its model_type; repeatable.")
    ] = [],  # noqa: B006 - typer reads it
    timeout_s: Annotated[float, typer.Option(help="Seconds for one family.")] = 900,
    record: Annotated[
        Path | None,
        typer.Option(
            help="File of results: those in it are tried again only if --only names them."
        ),
    ] = None,
) -> None:
    """Try the families one after the other, and print the tables."""
    seed = secrets.randbelow(10**6) if seed is None else seed
    circumstances = Circumstances.now(f"python -m bench.families --seed {seed}")
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    results = read_results(record) if record else {}
    for family in families_named(only):
        if family.name in results and not only:
            continue
        result = results[family.name] = try_in_child(family, seed, timeout_s)
        result.run = circumstances.lines[0]
        console.print(escape(_line(result)), highlight=False, soft_wrap=True)
        if record:
            append_result(record, result)
    for group in GROUPS:
        _print(console, group.title, group_grid(group, results))
    _print(console, "Summary", summary_grid(GROUPS, results))
    seeds = ", ".join(str(each) for each in sorted({it.seed for it in results.values()}))
    console.print(f"seed {seeds}")
    console.print(tally(GROUPS, results), highlight=False, soft_wrap=True)
    raise typer.Exit(code=int(any(it.is_wrong or it.is_late for it in results.values())))


def _line(result: Result) -> str:
    facts = [
        result.outcome,
        shorten(result.text, _WIDTH),
        result.computed_in,
        result.torch and f"torch {result.torch}",
    ]
    facts += [f"{name} {text}" for name, text in result.short_types.items()]
    facts += [*result.remarks, f"{result.num_distinct} tokens", f"{result.seconds:.1f} s"]
    return f"{result.family}: {', '.join(filter(None, facts))}"


def _print(console: Console, title: str, grid: Grid) -> None:
    if not grid.rows:
        return
    table = Table(*grid.columns, title=title)
    for row in grid.rows:
        table.add_row(*map(escape, row))
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
