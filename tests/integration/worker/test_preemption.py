"""Running responses are put off for others that wait: `flex`, and those of whoever has most."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

import orjson
import pytest
from flask.testing import FlaskClient

from models.ids import parse_response_id
from models.responses.record import ResponseRecord
from models.responses.status import TERMINAL, ResponseStatus
from tests.integration.api.requests import create, fetch, text_of, wait_for_end, wait_for_text
from tests.integration.conftest import MakeWorker
from tests.integration.desk import Desk
from tests.integration.in_process import InProcessWorker
from tests.polling import eventually
from worker.process.timings import WorkerTimings

Fill = Callable[..., InProcessWorker]
_FULL: dict[str, Any] = {"script_interval_ms": 60, "script_tokens": 60, "max_sequences": 1}
_ENDED_FIRST = """
    SELECT a.finished_at < b.finished_at FROM responses a, responses b
    WHERE a.id = %s AND b.id = %s
"""


@pytest.mark.parametrize("tier", ["flex", "default"])
def test_only_flex_is_put_off_and_goes_on_later(
    http: FlaskClient,
    make_worker: MakeWorker,
    desk: Desk,
    worker_timings: WorkerTimings,
    tier: str,
) -> None:
    make_worker(**_FULL, timings=replace(worker_timings, preempt_s=0.05))
    running = create(http, service_tier=tier)
    wait_for_text(http, running["id"])

    urgent = create(http, service_tier="priority", max_output_tokens=3)

    for response in (running, urgent):
        wait_for_end(http, response["id"])
    ids = [parse_response_id(response["id"]) for response in (urgent, running)]
    [[is_urgent_first]] = desk.sql(_ENDED_FIRST, *ids)
    assert is_urgent_first == (tier == "flex")
    [[attempts, num_crashes]] = desk.sql(
        "SELECT attempt, num_crashes FROM responses WHERE id = %s", ids[1]
    )
    assert (attempts, num_crashes) == (2 if tier == "flex" else 1, 0)
    assert text_of(fetch(http, running["id"])).count("This") == 3


def test_flex_is_not_put_off_for_another_project(
    http: FlaskClient, make_worker: MakeWorker, desk: Desk, worker_timings: WorkerTimings
) -> None:
    make_worker(**_FULL, timings=replace(worker_timings, preempt_s=0.05))
    running = create(http, service_tier="flex", max_output_tokens=20)
    wait_for_text(http, running["id"])

    desk.create(project_id=desk.add_project("other"), priority=2)

    wait_for_end(http, running["id"])
    running_id = parse_response_id(running["id"])
    assert desk.sql("SELECT attempt FROM responses WHERE id = %s", running_id) == [(1,)]


@pytest.fixture
def eager(worker_timings: WorkerTimings) -> WorkerTimings:
    """Return timings of workers that put responses off after a short wait."""
    return replace(
        worker_timings, preempt_s=0.05, preempt_after_s=0.2, preempt_run_s=0.2, charge_s=0.1
    )


@pytest.fixture
def fill(make_worker: MakeWorker, desk: Desk, eager: WorkerTimings) -> Fill:
    """Return a function that starts a worker with so many places, and fills them.

    All have run for long enough to be put off when it returns.
    """

    def start(num_places: int, num_tokens: int = 120) -> InProcessWorker:
        worker = make_worker(
            script_interval_ms=20,
            script_tokens=num_tokens,
            max_sequences=num_places,
            timings=eager,
        )
        for _ in range(num_places):
            worker.run_queued()
        wait_for_runs(worker, num_places, eager.preempt_run_s)
        return worker

    return start


def wait_for_runs(worker: InProcessWorker, num: int, run_s: float) -> None:
    """Wait until so many responses run, each for so long at least."""
    running = worker.runtime._running
    eventually(lambda: [each.run_s >= run_s for each in running.preemptible()] == [True] * num)


def attempts(desk: Desk, *responses: ResponseRecord) -> list[int]:
    found = dict(desk.sql("SELECT id, attempt FROM responses"))
    return [found[response.id] for response in responses]


def is_over(desk: Desk, response: ResponseRecord) -> bool:
    return desk.status(response) in TERMINAL


def ended_first(desk: Desk, *responses: ResponseRecord) -> UUID:
    """Wait until all have ended; return the id of the first."""
    for response in responses:
        eventually(partial(is_over, desk, response))
    [[first]] = desk.sql("SELECT id FROM responses ORDER BY finished_at LIMIT 1")
    assert isinstance(first, UUID)
    return first


def check_events(desk: Desk, response: ResponseRecord, *, num_tokens: int) -> None:
    """Check that a response has all of its events and its whole text, once."""
    events = desk.store.responses.archived_events(response.project_id, response.id)
    assert events is not None
    parsed = [orjson.loads(event) for event in events]
    assert [event["sequence_number"] for event in parsed] == list(range(len(parsed)))
    text = "".join(event["delta"] for event in parsed if "output_text.delta" in event["type"])
    assert text.count("This") == num_tokens / 20
    assert parsed[-1]["response"]["usage"]["output_tokens"] == num_tokens


_SHORT: dict[str, Any] = {"parameters": {"temperature": 1.0, "top_p": 1.0, "max_output_tokens": 3}}


def test_a_project_with_nothing_running_gets_a_place_of_the_one_that_has_all(
    fill: Fill, desk: Desk
) -> None:
    greedy = [desk.create() for _ in range(3)]
    fill(2)

    other = desk.create(project_id=desk.add_project("other"), **_SHORT)

    assert ended_first(desk, *greedy, other) == other.id
    # The younger one, and either of the two that began at the same time may be that.
    assert sorted(attempts(desk, *greedy, other)) == [1, 1, 1, 2]
    for response in greedy:
        check_events(desk, response, num_tokens=120)
    assert [desk.num_crashes(response) for response in greedy] == [0, 0, 0]


def test_an_end_user_with_nothing_running_gets_a_place_of_the_one_who_has_all(
    fill: Fill, desk: Desk
) -> None:
    greedy = [desk.create(end_user=1) for _ in range(3)]
    fill(2)

    other = desk.create(end_user=2, **_SHORT)

    assert ended_first(desk, *greedy, other) == other.id
    assert sorted(attempts(desk, *greedy, other)) == [1, 1, 1, 2]
    for response in greedy:
        check_events(desk, response, num_tokens=120)


def test_flex_goes_first_whoever_has_most(fill: Fill, desk: Desk) -> None:
    greedy = [desk.create() for _ in range(2)]
    flex = desk.create(project_id=desk.add_project("lazy"), priority=-2)
    fill(3)

    other = desk.create(project_id=desk.add_project("other"), **_SHORT)

    assert ended_first(desk, *greedy, flex, other) == other.id
    assert attempts(desk, *greedy, flex, other) == [1, 1, 2, 1]
    check_events(desk, flex, num_tokens=120)


def test_a_project_that_has_used_more_than_the_others_gets_no_place_of_theirs(
    fill: Fill, desk: Desk
) -> None:
    greedy = [desk.create() for _ in range(2)]
    desk.store.flows.refresh()
    fill(2)

    spent = desk.create(project_id=desk.add_project("spent"), **_SHORT)
    desk.sql(
        "UPDATE project_flows SET virtual_start = 0, service = 10000 WHERE project_id = 'spent'"
    )

    assert ended_first(desk, *greedy, spent) != spent.id
    assert attempts(desk, *greedy, spent) == [1, 1, 1]


def test_places_of_projects_with_one_each_do_not_change_hands(fill: Fill, desk: Desk) -> None:
    running = [desk.create(project_id=desk.add_project(name)) for name in ("a", "b")]
    fill(2)

    other = desk.create(project_id=desk.add_project("other"), **_SHORT)

    assert ended_first(desk, *running, other) != other.id
    assert attempts(desk, *running, other) == [1, 1, 1]


def test_a_single_place_changes_hands_ever_less_often(fill: Fill, desk: Desk) -> None:
    first = desk.create(project_id=desk.add_project("a"))
    fill(1, num_tokens=80)
    second = desk.create(project_id=desk.add_project("b"))

    ended_first(desk, first, second)

    # A run takes 0.2 s at first, then 0.4, 0.6 ...: the whole response is 1.6 s long.
    assert 2 <= attempts(desk, first)[0] <= 4
    assert attempts(desk, second)[0] <= 4
    for response in (first, second):
        check_events(desk, response, num_tokens=80)


def test_those_that_were_put_off_least_often_are_next(fill: Fill, desk: Desk) -> None:
    greedy = [desk.create() for _ in range(2)]
    worker = fill(2, num_tokens=400)
    project_id = desk.add_project("other")

    for _ in range(2):
        wait_for_runs(worker, 2, 0.5)
        other = desk.create(project_id=project_id, **_SHORT)
        eventually(partial(is_over, desk, other))

    eventually(lambda: attempts(desk, *greedy) == [2, 2])


def test_a_long_response_is_charged_while_it_runs(fill: Fill, desk: Desk) -> None:
    running = desk.create()
    fill(1)

    eventually(lambda: desk.sql("SELECT 1 FROM project_flows WHERE service > 20"))

    assert desk.status(running) is ResponseStatus.IN_PROGRESS
    ended_first(desk, running)
    [[service, total]] = desk.sql(
        "SELECT f.service, CAST(r.usage ->> 'total_tokens' AS float)"
        " FROM project_flows f, responses r"
    )
    assert service == total
