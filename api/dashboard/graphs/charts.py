"""Geometry of charts: paths of SVG in a frame that the page stretches to its own width.

A value that is None is unknown: its line is broken there, and a bar is left out.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

WIDTH, HEIGHT = 1000, 200
"""Size of the frame, in units of the paths."""

Values = Sequence[float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One series of a chart."""

    name: str
    style: str
    """Class of the style sheet: `first`, `second`, `bars` or `area`."""
    values: Values
    path: str

    @property
    def latest(self) -> float | None:
        """Last value, if that is known."""
        return self.values[-1] if self.values else None

    @property
    def highest(self) -> float | None:
        """Highest value; None if none is known."""
        return max((value for value in self.values if value is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Lines over the same time and the same scale."""

    id: str
    title: str
    unit: str
    """`s` for seconds, else a word for what is counted."""
    top: float
    """Value at the upper edge; zero is at the lower one."""
    lines: Sequence[Line]


def draw_chart(
    chart_id: str, title: str, unit: str, lines: Sequence[tuple[str, str, Values]]
) -> Chart:
    """Return a chart of lines, each with its name, style and values."""
    known = [value for _, _, values in lines for value in values if value is not None]
    top = round_up(max(known, default=0.0))
    drawn = [
        Line(name=name, style=style, values=values, path=_path(values, top, style))
        for name, style, values in lines
    ]
    return Chart(id=chart_id, title=title, unit=unit, top=top, lines=drawn)


def round_up(value: float) -> float:
    """Return the next number that is 1, 2, 3, 4, 5 or 8 times a power of ten; 1 for zero."""
    if value <= 0:
        return 1
    exponent = math.floor(math.log10(value))
    steps = (Decimal(factor).scaleb(exponent) for factor in (1, 2, 3, 4, 5, 8, 10))
    top = next((float(step) for step in steps if float(step) >= value), value)
    return int(top) if top.is_integer() else top


def _path(values: Values, top: float, style: str) -> str:
    step = WIDTH / max(1, len(values))
    runs = list(_runs(values))
    if style == "bars":
        return " ".join(
            f"M{(start + offset) * step + step * 0.1:.1f} {HEIGHT}"
            f"V{_height(value, top):.1f}h{step * 0.8:.1f}V{HEIGHT}z"
            for start, run in runs
            for offset, value in enumerate(run)
            if value
        )
    is_area = style == "area"
    return " ".join(_line(start, run, step, top, is_closed=is_area) for start, run in runs)


def _runs(values: Values) -> Iterator[tuple[int, list[float]]]:
    """Yield the first position and the values of each run of known ones."""
    run: list[float] = []
    for position, value in enumerate((*values, None)):
        if value is not None:
            run.append(value)
        elif run:
            yield position - len(run), run
            run = []


def _line(start: int, run: Sequence[float], step: float, top: float, *, is_closed: bool) -> str:
    """Return a line through the middles of its steps; one value alone is a line of one step."""
    points = [
        (step * (start + offset + 0.5), _height(value, top)) for offset, value in enumerate(run)
    ]
    if len(points) == 1:
        points = [(step * start, points[0][1]), (step * (start + 1), points[0][1])]
    text = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    if is_closed:
        return f"M{points[0][0]:.1f} {HEIGHT}L{text}V{HEIGHT}z"
    return f"M{text}"


def _height(value: float, top: float) -> float:
    return HEIGHT * (1 - value / top)
