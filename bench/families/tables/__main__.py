"""Tables of docs/models.md, from runs of all families: `python -m bench.families.tables FILE...`.

Each file is what `python -m bench.families --record FILE` wrote. The worst result of a family
counts.
"""

from pathlib import Path
from typing import Annotated

import typer

from bench.families.catalogue import GROUPS, families_named
from bench.families.record import read_results
from bench.families.result import Results
from bench.families.tables.page import tally, write_section
from bench.families.tables.runs import combine

PAGE = Path(__file__).parents[3] / "docs/models.md"


def main(
    records: Annotated[list[Path], typer.Argument(help="Files of results, one for each seed.")],
    page: Annotated[Path, typer.Option(help="Page whose tables are written.")] = PAGE,
) -> None:
    """Write the tables, and print what the runs show together."""
    runs = [_read(file) for file in records]
    write_section(page, GROUPS, runs)
    typer.echo(tally(GROUPS, combine(runs)))


def _read(file: Path) -> Results:
    results = read_results(file)
    missing = [family.name for family in families_named([]) if family.name not in results]
    if missing:
        raise typer.BadParameter(f"{file} lacks {len(missing)} families: {', '.join(missing)}")
    return results


if __name__ == "__main__":
    typer.run(main)
