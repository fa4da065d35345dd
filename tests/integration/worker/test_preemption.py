"""`priority` preempts `flex` if there is no room for both."""

from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from models.ids import parse_response_id
from tests.integration.api.requests import create, fetch, text_of, wait_for_end, wait_for_text
from tests.integration.conftest import MakeWorker
from tests.integration.desk import Desk
from worker.process.timings import WorkerTimings

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
    make_worker(**_FULL, timings=replace(worker_timings, poll_s=0.05))
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
    make_worker(**_FULL, timings=replace(worker_timings, poll_s=0.05))
    running = create(http, service_tier="flex", max_output_tokens=20)
    wait_for_text(http, running["id"])

    desk.create(project_id=desk.add_project("other"), priority=2)

    wait_for_end(http, running["id"])
    running_id = parse_response_id(running["id"])
    assert desk.sql("SELECT attempt FROM responses WHERE id = %s", running_id) == [(1,)]
