"""Tables of benchmark results, on the terminal and as a section of bench/RESULTS.md.

A goal is compared with the median of the rounds. Knows nothing of what was measured.
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
    """Limit that a median should keep: `at_least` or `at_most`."""

    at_least: float | None = None
    at_most: float | None = None

    def is_met(self, median: float) -> bool:
        """Return True if the median is within the limit."""
        if self.at_least is not None and median < self.at_least:
            return False
        return self.at_most is None or median <= self.at_most

    def __str__(self) -> str:
        if self.at_least is not None:
            return f"≥ {number(self.at_least)}"
        return f"≤ {number(self.at_most or 0)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """Quantity measured once per round."""

    name: str
    """Name in the table, with its unit."""
    rounds: Sequence[float]
    goal: Goal | None = None

    def cells(self) -> tuple[str, ...]:
        """Return the text of one cell per column."""
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
    """Table of text cells."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    @classmethod
    def of(cls, measures: Sequence[Measure]) -> "Grid":
        """Build a table with a row per measure."""
        return cls(columns=_COLUMNS, rows=[measure.cells() for measure in measures])

    def markdown(self) -> str:
        """Return the table in Markdown, with a line per row."""
        lines = [self.columns, ["---" for _ in self.columns], *self.rows]
        return "\n".join(f"| {' | '.join(map(_escape, line))} |" for line in lines)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Machine, commit, time and command of a benchmark run, recorded before it starts."""

    lines: tuple[str, ...]

    @classmethod
    def now(cls, command: str) -> "Circumstances":
        """Record the machine, the commit and the time, with the command line `command`."""
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

    def with_lines(self, *lines: str) -> "Circumstances":
        """Return a copy with further lines."""
        return Circumstances((*self.lines, *lines))


def publish(
    title: str, circumstances: Circumstances, measures: Sequence[Measure], results: Path
) -> None:
    """Print the table and append it to `results`."""
    publish_grids(title, circumstances, [Grid.of(measures)], results)


def publish_grids(
    title: str, circumstances: Circumstances, grids: Sequence[Grid], results: Path
) -> None:
    """Print several tables and append them as one section to `results`."""
    # Output to a file has no width of its own, and the default of 80 columns is too narrow.
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    for grid in grids:
        table = Table(*grid.columns, title=title)
        for row in grid.rows:
            table.add_row(*map(escape, row))
        console.print(table)
    console.print("\n".join(circumstances.lines), markup=False, highlight=False, soft_wrap=True)
    with results.open("a") as file:
        file.write(_section(title, circumstances, grids))


def processor_features(info: Path = Path("/proc/cpuinfo")) -> list[str]:
    """Return the CPU features that matter to the speed of models; none if `info` is missing."""
    lines = info.read_text().splitlines() if info.exists() else []
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return [feature for feature in _FEATURES if feature in flags]


def number(value: float) -> str:
    """Format a value for a table: two decimals, or none if it is whole or at least 100."""
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.2f}"


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the value that `percent` of `values` do not exceed (linear interpolation)."""
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def _section(title: str, circumstances: Circumstances, grids: Sequence[Grid]) -> str:
    tables = "\n\n".join(grid.markdown() for grid in grids)
    facts = "\n".join(f"- {line}" for line in circumstances.lines)
    return f"\n## {title}\n\n{facts}\n\n{tables}\n"


def _escape(cell: str) -> str:
    return cell.replace("|", r"\|")


def _commit() -> str:
    def git(*arguments: str) -> str:
        folder = RESULTS.parent
        return subprocess.check_output(["git", *arguments], cwd=folder, text=True).strip()

    changes = git("status", "--porcelain", "--untracked-files=no", ":!RESULTS.md")
    return git("rev-parse", "--short", "HEAD") + (" with uncommitted changes" if changes else "")


def _cpu() -> str:
    """Return the processor's name, or its architecture if the kernel does not report one."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
