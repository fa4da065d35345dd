"""Graphs of the last day: the figures that the page shows are those of the readings."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from models.access.scopes import ALL_SCOPES
from models.profile.weights import SCRIPTED_MODEL
from tests.integration.conftest import RunSql
from tests.integration.dashboard.conftest import OPERATES, SignIn
from tests.integration.dashboard.visitor import Visitor

GRAPHS = "/dashboard/admin/graphs"
_ADD = "INSERT INTO metric_minutes VALUES (%s, %s, %s, %s, CAST(%s AS json))"
_NONE = '<path class="{}" d=""/>'
_ROW = re.compile(r'<tr><th scope="row">([^<]*)</th>(.*?)</tr>')
_CELL = re.compile(r"<td[^>]*>([^<]*)</td>")


def add(sql: RunSql, minute: datetime, totals: str, queued: int = 0, model: str = "m") -> None:
    sql(_ADD, minute, model, minute, queued, totals)


def an_hour_ago() -> datetime:
    """Return a whole minute that both spans show."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    return now - timedelta(minutes=50 + now.minute % 5)


def table(visitor: Visitor, query: str) -> dict[str, list[str]]:
    """Return the cells of the table by the time of their row."""
    page = visitor.page(f"{GRAPHS}?view=table&{query}")
    return {time[11:16]: _CELL.findall(row) for time, row in _ROW.findall(page)}


@pytest.mark.parametrize(("span", "minutes"), [("24h", 5), ("1h", 1)])
def test_the_table_has_the_figures_of_each_step(
    visitor: Visitor, sql: RunSql, span: str, minutes: int
) -> None:
    first, step = an_hour_ago(), timedelta(minutes=minutes)
    seconds = minutes * 60
    add(sql, first, '{"wait 1.0": 1, "failed": 1, "ended": 2}', queued=4)
    add(
        sql, first + step,
        f'{{"wait 1.0": 5, "ttft 10.0": 2, "output": {30 * seconds}, "failed": 3, "ended": 9}}',
    )  # fmt: skip

    found = table(visitor, f"span={span}")

    assert found[f"{first:%H:%M}"] == [
        "4", "500 ms", "950 ms", "5.0 s", "9.5 s", "30.0", "7", "2"
    ]  # fmt: skip
    assert found[f"{first + step:%H:%M}"] == ["unknown"]
    assert len(found) == {"24h": 288, "1h": 60}[span]


def test_a_model_is_shown_by_itself(visitor: Visitor, sql: RunSql) -> None:
    first = an_hour_ago()
    for minute in range(2):
        for model, tokens in (("one", 60), ("<other>", 600)):
            totals = f'{{"output": {minute * tokens}}}'
            add(sql, first + timedelta(minutes=minute), totals, model=model)

    speeds = [
        table(visitor, f"span=1h&model={model}")[f"{first:%H:%M}"][5]
        for model in ("one", "%3Cother%3E", "")
    ]

    assert speeds == ["1.0", "10.0", "11.0"]
    page = visitor.page(f"{GRAPHS}?model=one")
    assert "<option selected>one</option>" in page
    assert "<option>&lt;other&gt;</option>" in page
    assert f"<option>{SCRIPTED_MODEL}</option>" in page


def test_the_charts_say_their_figures_in_words(visitor: Visitor, sql: RunSql) -> None:
    first = an_hour_ago()
    for minute, failed in enumerate([0, 2, 7]):
        add(sql, first + timedelta(minutes=minute), f'{{"failed": {failed}}}', queued=minute * 6)

    page = visitor.page(f"{GRAPHS}?span=1h")

    assert "queued: at last unknown, at most 6 queued." in page
    assert "failed: at last unknown, at most 5 failed." in page
    assert "Gaps are times without readings." in page
    assert page.count("<svg") == 5
    assert _NONE.format("first") in page  # no wait was measured
    assert _NONE.format("bars") not in page
    assert not re.search(r'style="|<script>|<style', page)


def test_before_the_first_readings_the_page_says_so(visitor: Visitor) -> None:
    assert "Nothing has been measured yet" in visitor.page(GRAPHS)


@pytest.mark.parametrize("query", ["span=2h", "view=poem"])
def test_what_it_cannot_show_is_refused_by_name(visitor: Visitor, query: str) -> None:
    answer = visitor.open(f"{GRAPHS}?{query}")

    assert answer.status_code == 400
    assert f"{query.partition('=')[0]} must be one of" in answer.text


def test_the_part_that_changes_is_that_of_the_page(visitor: Visitor) -> None:
    page = visitor.page(f"{GRAPHS}?span=1h&view=table")
    part = visitor.page(f"{GRAPHS}/figures?span=1h&view=table")

    assert 'hx-get="/dashboard/admin/graphs/figures?span=1h&amp;view=table&amp;model="' in part
    assert part.strip()[:80] in page


def test_the_sum_of_all_projects_is_for_operators_alone(sign_in: SignIn) -> None:
    assert sign_in(ALL_SCOPES).open(GRAPHS).status_code == 200
    assert sign_in(OPERATES).open(GRAPHS).status_code == 403
