"""Geometry of charts: heights by value, broken lines where a value is unknown."""

import pytest

from api.dashboard.graphs.charts import HEIGHT, draw_chart, round_up


@pytest.mark.parametrize(
    ("value", "top"),
    [(0, 1), (1, 1), (7, 8), (9, 10), (12, 20), (412, 500), (0.03, 0.03), (0.41, 0.5), (1e6, 1e6)],
)
def test_the_scale_ends_at_a_round_number(value: float, top: float) -> None:
    assert round_up(value) == top


def test_a_line_goes_through_the_middles_of_its_steps() -> None:
    [line] = draw_chart("id", "Title", "s", [("p50", "first", [0, 5, 10, None])]).lines

    assert line.path == f"M125.0 {HEIGHT:.1f}L375.0 100.0L625.0 0.0"
    assert (line.highest, line.latest) == (10, None)


def test_a_line_is_broken_where_a_value_is_unknown() -> None:
    values = [1, None, 1, 1, None]

    [line] = draw_chart("id", "Title", "s", [("p50", "first", values)]).lines

    assert line.path == "M0.0 0.0L200.0 0.0 M500.0 0.0L700.0 0.0"


def test_an_area_ends_at_zero_on_both_sides_of_a_gap() -> None:
    [line] = draw_chart("id", "Title", "s", [("n", "area", [2, None, 1, 1])]).lines

    assert line.path == "M0.0 200L0.0 0.0L250.0 0.0V200z M625.0 200L625.0 100.0L875.0 100.0V200z"


def test_bars_stand_where_there_is_something_to_count() -> None:
    [line] = draw_chart("id", "Title", "n", [("failed", "bars", [0, 4, None, 2])]).lines

    assert line.path == "M275.0 200V0.0h200.0V200z M775.0 200V100.0h200.0V200z"


def test_a_chart_without_values_has_no_lines() -> None:
    [line] = draw_chart("id", "Title", "n", [("n", "first", [None, None])]).lines

    assert (line.path, line.highest) == ("", None)
