"""GET /livez and /readyz: liveness of the process, and its readiness to serve."""

import pytest
from flask.testing import FlaskClient

from models.settings import Settings
from tests.integration.api.requests import parsed
from tests.integration.conftest import NO_DATABASE, NO_REDIS, running_app
from tests.integration.desk import Desk
from tests.integration.in_process import InProcessWorker


def test_it_works(http: FlaskClient, worker: InProcessWorker) -> None:
    answer = http.get("/readyz")

    assert answer.status_code == 200
    assert parsed(answer) == {"status": "ok", "database": True, "redis": True, "worker": True}


def test_it_is_not_ready_without_a_worker(http: FlaskClient) -> None:
    answer = http.get("/readyz")

    assert answer.status_code == 503
    assert parsed(answer) == {
        "status": "unavailable",
        "database": True,
        "redis": True,
        "worker": False,
    }


def test_it_is_not_ready_when_every_lease_has_run_out(http: FlaskClient, desk: Desk) -> None:
    desk.hire()
    assert http.get("/readyz").status_code == 200

    desk.lapse_leases()

    assert http.get("/readyz").status_code == 503


def test_it_is_not_ready_with_workers_of_another_model_alone(http: FlaskClient, desk: Desk) -> None:
    desk.hire(model="other")

    answer = http.get("/readyz")

    assert answer.status_code == 503
    assert parsed(answer)["worker"] is False


def test_it_is_not_ready_without_redis(settings: Settings, desk: Desk) -> None:
    desk.hire()
    with running_app(settings.model_copy(update=NO_REDIS)) as cut_off:
        answer = cut_off.test_client().get("/readyz")

    assert answer.status_code == 503
    assert parsed(answer) == {
        "status": "unavailable",
        "database": True,
        "redis": False,
        "worker": True,
    }


def test_it_is_not_ready_without_its_database(settings: Settings) -> None:
    with running_app(settings.model_copy(update=NO_DATABASE)) as cut_off:
        answer = cut_off.test_client().get("/readyz")

    assert answer.status_code == 503
    assert parsed(answer) == {
        "status": "unavailable",
        "database": False,
        "redis": True,
        "worker": False,
    }


@pytest.mark.parametrize("missing", [{}, NO_DATABASE, NO_REDIS, NO_DATABASE | NO_REDIS])
def test_it_is_alive_whatever_is_missing(settings: Settings, missing: dict[str, str]) -> None:
    with running_app(settings.model_copy(update=missing)) as cut_off:
        answer = cut_off.test_client().get("/livez")

    assert answer.status_code == 200
    assert parsed(answer) == {"status": "ok"}
