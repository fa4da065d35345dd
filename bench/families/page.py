"""Tables of the results: for the terminal, and for docs/models.md."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import shorten

from bench.families.family import Family, Group
from bench.families.result import Outcome, Result
from bench.report import Grid

BEGIN = "<!-- The tables are written by `python -m bench.families`. -->"
END = "<!-- The end of the tables. -->"
COLUMNS = ("Family", "Configuration", "Result", "Computed in", "Shorter types", "Remarks")
SUMMARY_COLUMNS = (
    *("Group", "Families", "Exact", "of all", "Exact, and in bfloat16 and int8"),
    *("Refused", "of these by config.json", "Wrong"),
)
_MAX_CHARACTERS = 200
_NAME = re.compile(r"^\| ([^|]+) \| `\w+` \|", re.MULTILINE)

Results = Mapping[str, Result]


def group_grid(group: Group, results: Results) -> Grid:
    """Return the table of a group, a row for each family that was tried."""
    tried = [family for family in group.families if family.name in results]
    return Grid(columns=COLUMNS, rows=[_row(family, results[family.name]) for family in tried])


def summary_grid(groups: Sequence[Group], results: Results) -> Grid:
    """Return a row for each group, and one for all families that are to be served."""
    rows = [_summary_row(group.title, _of(group, results)) for group in groups]
    served = [result for group in groups if group.is_served for result in _of(group, results)]
    rows.append(_summary_row("All but those to be refused", served))
    return Grid(columns=SUMMARY_COLUMNS, rows=rows)


def write_section(page: Path, groups: Sequence[Group], results: Results, line: str) -> None:
    """Replace the tables of the page; `line` says when and how they were made."""
    parts = [line, summary_grid(groups, results).markdown()]
    for group in groups:
        parts += [f"### {group.title}", group_grid(group, results).markdown()]
    before, _, rest = page.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n\n" + "\n\n".join(parts) + f"\n\n{END}{after}")


def names_on(page: str) -> list[str]:
    """Return the names of the families in the tables of a page, in their order."""
    section = page.partition(BEGIN)[2].partition(END)[0]
    return _NAME.findall(section)


def _of(group: Group, results: Results) -> list[Result]:
    return [results[family.name] for family in group.families if family.name in results]


def _row(family: Family, result: Result) -> tuple[str, ...]:
    remarks = [family.note, *dict.fromkeys(result.remarks)]
    if result.num_ties:
        remarks.append(f"{result.num_ties} ties")
    return (
        family.name,
        f"`{family.model_type}`",
        _outcome(result),
        _libraries(result),
        ", ".join(f"{name} {text}" for name, text in result.short_types.items()),
        "; ".join(filter(None, remarks)),
    )


def _outcome(result: Result) -> str:
    if result.outcome is Outcome.EXACT:
        return "exact"
    late = "" if result.is_early or result.outcome is not Outcome.REFUSED else " (after loading)"
    return f"{result.outcome}{late}: {shorten(result.text, _MAX_CHARACTERS)}"


def _libraries(result: Result) -> str:
    if result.torch == "exact":
        return f"{result.computed_in}, torch"
    return f"{result.computed_in}; torch {result.torch}" if result.torch else result.computed_in


def _summary_row(title: str, results: Sequence[Result]) -> tuple[str, ...]:
    exact = [result for result in results if result.outcome is Outcome.EXACT]
    refused = [result for result in results if result.outcome is Outcome.REFUSED]
    return (
        title,
        str(len(results)),
        str(len(exact)),
        f"{100 * len(exact) / max(1, len(results)):.0f} %",
        str(sum(result.has_all_types for result in exact)),
        str(len(refused)),
        str(sum(result.is_early for result in refused)),
        str(sum(result.is_wrong for result in results)),
    )
