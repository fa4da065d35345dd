"""Figures of several rounds as a table on the terminal and as a section of bench/RESULTS.md.

Judges nothing but whether a goal is met by the median; knows nothing of what was measured.
"""

import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

RESULTS = Path(__file__).with_name("RESULTS.md")
_COLUMNS = ("Measure", "Median", "Spread", "Rounds", "Goal", "")
_WIDTH = 160
_FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What a median should reach: `at_least` or `at_most`."""

    at_least: float | None = None
    at_most: float | None = None

    def is_met(self, median: float) -> bool:
        """Whether the median is on the right side."""
        if self.at_least is not None and median < self.at_least:
            return False
        return self.at_most is None or median <= self.at_most

    def __str__(self) -> str:
        if self.at_least is not None:
            return f"≥ {number(self.at_least)}"
        return f"≤ {number(self.at_most or 0)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One figure, measured once a round."""

    name: str
    """With its unit."""
    rounds: Sequence[float]
    goal: Goal | None = None

    def cells(self) -> tuple[str, ...]:
        """One cell for each column."""
        median = statistics.median(self.rounds)
        return (
            self.name,
            number(median),
            f"{number(min(self.rounds))} to {number(max(self.rounds))}",
            str(len(self.rounds)),
            str(self.goal) if self.goal else "",
            ("met" if self.goal.is_met(median) else "missed") if self.goal else "",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A table of text."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    @classmethod
    def of(cls, measures: Sequence[Measure]) -> "Grid":
        """A row for each measure."""
        return cls(columns=_COLUMNS, rows=[each.cells() for each in measures])

    def markdown(self) -> str:
        """Of the table, with a line for each row."""
        lines = [self.columns, ["---" for _ in self.columns], *self.rows]
        return "\n".join(f"| {' | '.join(map(_escaped, line))} |" for line in lines)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Where and when a benchmark ran; made before it starts."""

    lines: tuple[str, ...]

    @classmethod
    def now(cls, command: str) -> "Circumstances":
        """This machine, this commit, this moment."""
        load = " / ".join(f"{value:.2f}" for value in os.getloadavg())
        settings = sorted(f"{k}={v}" for k, v in os.environ.items() if k.startswith("ANTIPHON_"))
        return cls(
            (
                f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {_commit()}",
                f"{_cpu()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB; "
                f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
                f"of the processor's features: {', '.join(processor_features())}",
                f"load average before the start: {load}",
                f"`{' '.join([*settings, command])}`",
            )
        )

    def and_also(self, *lines: str) -> "Circumstances":
        """These, and what else is worth telling."""
        return Circumstances((*self.lines, *lines))


def publish(title: str, where: Circumstances, measures: Sequence[Measure], results: Path) -> None:
    """Print the table and append it to `results`."""
    publish_grids(title, where, [Grid.of(measures)], results)


def publish_grids(title: str, where: Circumstances, grids: Sequence[Grid], results: Path) -> None:
    """Print several tables and append them as one section to `results`."""
    # A file has no width of its own, and eighty columns are few for so many.
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    for grid in grids:
        table = Table(*grid.columns, title=title)
        for row in grid.rows:
            table.add_row(*map(escape, row))
        console.print(table)
    console.print("\n".join(where.lines), markup=False, highlight=False, soft_wrap=True)
    with results.open("a") as file:
        file.write(_section(title, where, grids))


def processor_features(info: Path = Path("/proc/cpuinfo")) -> list[str]:
    """Those that decide how fast networks are, where the kernel tells them."""
    lines = info.read_text().splitlines() if info.exists() else []
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return [each for each in _FEATURES if each in flags]


def number(value: float) -> str:
    """As it stands in a table: with two decimals, or without if it is large or whole."""
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.2f}"


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that `percent` in a hundred do not exceed."""
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def _section(title: str, where: Circumstances, grids: Sequence[Grid]) -> str:
    tables = "\n\n".join(grid.markdown() for grid in grids)
    facts = "\n".join(f"- {line}" for line in where.lines)
    return f"\n## {title}\n\n{facts}\n\n{tables}\n"


def _escaped(cell: str) -> str:
    return cell.replace("|", r"\|")


def _commit() -> str:
    def git(*arguments: str) -> str:
        folder = RESULTS.parent
        return subprocess.check_output(["git", *arguments], cwd=folder, text=True).strip()

    changes = git("status", "--porcelain", "--untracked-files=no", ":!RESULTS.md")
    return git("rev-parse", "--short", "HEAD") + (" with uncommitted changes" if changes else "")


def _cpu() -> str:
    """The processor's name, where the kernel tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
