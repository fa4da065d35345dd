"""`background_options.not_before`: a background response that is to start later."""

import time
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.integration.api.requests import (
    cancel,
    create,
    error_of,
    event_of,
    fetch,
    frames,
    parsed,
    stream,
)
from tests.integration.conftest import MakeWorker, RunSql
from tests.integration.desk import Desk
from tests.polling import eventually
from worker.maintenance.maintenance import Maintenance

_DAY_S = 24 * 60 * 60


def create_later(http: FlaskClient, **more: Any) -> dict[str, Any]:
    """Create a response that is not to start before tomorrow."""
    options = {"not_before": int(time.time()) + _DAY_S}
    return create(http, background_options=options, **more)


def test_it_starts_when_its_time_has_come(
    http: FlaskClient, make_worker: MakeWorker, maintenance: Maintenance, sql: RunSql
) -> None:
    make_worker()
    later = create_later(http)
    soon = create(http)
    eventually(lambda: fetch(http, soon["id"])["status"] == "completed")
    assert fetch(http, later["id"])["status"] == "queued"

    sql("UPDATE responses SET not_before = now() WHERE deferred")
    maintenance.release()
    maintenance.wake()

    eventually(lambda: fetch(http, later["id"])["status"] == "completed")


def test_a_time_that_has_passed_changes_nothing(http: FlaskClient, desk: Desk) -> None:
    options = {"not_before": int(time.time()) - 1}
    made = create(http, background_options=options)

    assert desk.claim().id.hex == made["id"].removeprefix("resp_")


def test_it_is_listed_and_streamed_as_queued(http: FlaskClient) -> None:
    later = create_later(http)

    [listed] = parsed(http.get("/v1/responses?status=queued"))["data"]
    opening = frames(stream(http, later["id"]))

    assert listed["id"] == later["id"]
    types = [event_of(next(opening))["type"] for _ in range(2)]
    assert types == ["response.created", "response.queued"]


def test_it_can_be_cancelled_and_deleted(http: FlaskClient) -> None:
    later, other = create_later(http), create_later(http)

    assert cancel(http, later["id"])["status"] == "cancelled"
    assert http.delete(f"/v1/responses/{other['id']}").status_code == 200
    assert http.get(f"/v1/responses/{other['id']}").status_code == 404


@pytest.mark.parametrize("more", [{"completion_window": "8h"}, {"completion_window": "soonest"}])
def test_a_completion_window_begins_then(http: FlaskClient, more: dict[str, str]) -> None:
    options = {"not_before": int(time.time()) + _DAY_S, **more}

    made = create(http, background_options=options)

    tier = "flex" if more["completion_window"] == "8h" else "default"
    assert (made["status"], made["service_tier"]) == ("queued", tier)


def test_it_is_refused_beyond_thirty_days(http: FlaskClient) -> None:
    options = {"not_before": int(time.time()) + 31 * _DAY_S}
    body = {"input": "Hello.", "background": True, "background_options": options}

    error = error_of(http.post("/v1/responses", json=body))

    assert error["param"] == "background_options.not_before"
    assert "30 days" in error["message"]
