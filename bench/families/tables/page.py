"""Tables of the results: for the terminal, and for docs/models.md."""

import re
from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten

from bench.families.family import Family, Group
from bench.families.result import Outcome, Result, Results
from bench.families.tables.runs import combine, run_title
from bench.report import Grid

BEGIN = "<!-- The tables are written by `python -m bench.families.tables`. -->"
END = "<!-- The end of the tables. -->"
COLUMNS = ("Family", "Configuration", "Result", "Computed in", "Shorter types", "Remarks")
SUMMARY_COLUMNS = (
    *("Group", "Families", "Exact", "of all", "Exact, and in bfloat16 and int8"),
    *("Refused", "of these by config.json", "Wrong"),
)
_MAX_CHARACTERS = 200
_NAME = re.compile(r"^\| ([^|]+) \| `\w+` \|", re.MULTILINE)


def group_grid(group: Group, results: Results) -> Grid:
    """Return the table of a group, a row for each family that was tried."""
    tried = [family for family in group.families if family.name in results]
    return Grid(columns=COLUMNS, rows=[_row(family, results[family.name]) for family in tried])


def summary_grid(groups: Sequence[Group], results: Results) -> Grid:
    """Return a row for each group, and one for all families that are to be served."""
    rows = [_summary_row(group.title, _of(group, results)) for group in groups]
    rows.append(_summary_row("All but those to be refused", _served(groups, results)))
    return Grid(columns=SUMMARY_COLUMNS, rows=rows)


def runs_grid(groups: Sequence[Group], runs: Sequence[Results]) -> Grid:
    """Return a row for each run, of the families that are to be served."""
    rows = [_summary_row(run_title(results), _served(groups, results)) for results in runs]
    return Grid(columns=("Run", *SUMMARY_COLUMNS[1:]), rows=rows)


def tally(groups: Sequence[Group], results: Results) -> str:
    """Return on one line how many of the families that were tried are exact, refused and wrong."""
    served = _served(groups, results)
    others = [it for group in groups if not group.is_served for it in _of(group, results)]
    num_exact = _count(served, Outcome.EXACT)
    everything = [*served, *others]
    facts = [
        f"{num_exact} of {len(served)} families to be served are exact "
        f"({_percentage(num_exact, len(served))})",
        f"{_count(served, Outcome.REFUSED)} refused by name",
        f"{_count(others, Outcome.REFUSED)} of {len(others)} others refused by name",
        f"{sum(it.is_late for it in everything)} refused after weights were read",
        f"{_count(everything, Outcome.DIFFERS)} wrong",
        f"{_count(everything, Outcome.FAILED)} failed",
    ]
    return ", ".join(facts)


def write_section(page: Path, groups: Sequence[Group], runs: Sequence[Results]) -> None:
    """Replace the tables of the page with those of the runs, each of which tried every family."""
    together = combine(runs)
    parts = [runs_grid(groups, runs).markdown(), summary_grid(groups, together).markdown()]
    for group in groups:
        parts += [f"### {group.title}", group_grid(group, together).markdown()]
    before, _, rest = page.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n\n" + "\n\n".join(parts) + f"\n\n{END}{after}")


def names_on(page: str) -> list[str]:
    """Return the names of the families in the tables of a page, in their order."""
    section = page.partition(BEGIN)[2].partition(END)[0]
    return _NAME.findall(section)


def _of(group: Group, results: Results) -> list[Result]:
    return [results[family.name] for family in group.families if family.name in results]


def _served(groups: Sequence[Group], results: Results) -> list[Result]:
    return [result for group in groups if group.is_served for result in _of(group, results)]


def _count(results: Sequence[Result], outcome: Outcome) -> int:
    return sum(result.outcome is outcome for result in results)


def _percentage(part: int, whole: int) -> str:
    return f"{100 * part // max(1, whole)} %"


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
    late = " (after loading)" if result.is_late else ""
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
        _percentage(len(exact), len(results)),
        str(sum(result.has_all_types for result in exact)),
        str(len(refused)),
        str(sum(result.is_early for result in refused)),
        str(sum(result.is_wrong for result in results)),
    )
