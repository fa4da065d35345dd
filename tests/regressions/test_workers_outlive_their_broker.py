"""A worker process whose broker refuses to work goes on, and takes wake-ups again after."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from flask.testing import FlaskClient

from cli.embedded import EmbeddedValkey
from models.profile.weights import SCRIPTED_MODEL
from models.settings import Settings
from tests.integration.api.requests import create_and_wait
from tests.integration.conftest import RunSql, running_app
from tests.polling import PATIENCE_S, eventually
from tests.regressions.test_outages_of_redis import WRITES_REFUSED
from worker.queue import WakeQueue, queue_name

_ROOT = Path(__file__).parents[2]
_BACK_WITHIN_S = 30.0


class WorkerProcess:
    """Worker with the scripted engine, in a process of its own."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self._log = log
        environment = dict(os.environ) | {
            "ANTIPHON_ENGINE": "scripted",
            "ANTIPHON_DATA_DIR": str(settings.data_dir),
            "ANTIPHON_SCRIPT_INTERVAL_MS": "1",
            "DATABASE_URL": settings.database_url or "",
            "DATABASE_MAINTENANCE_URL": settings.database_maintenance_url or "",
            "REDIS_URL": settings.redis_url or "",
        }
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(_ROOT / "antiphon"), "worker", "--name", "w"],
                env=environment,
                stderr=subprocess.STDOUT,
                stdout=output,
            )

    def messages(self) -> list[str]:
        """Return the messages that it has logged."""
        lines = [line for line in self._log.read_text().splitlines() if line.startswith("{")]
        return [str(json.loads(line).get("event")) for line in lines]

    def stop(self) -> int:
        """Stop it as for a deployment; return its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(PATIENCE_S)
        finally:
            self.process.kill()


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    with EmbeddedValkey(tmp_path_factory.mktemp("broker")) as server:
        yield server


@pytest.fixture
def redis_url(broken: EmbeddedValkey) -> str:
    with redis.Redis.from_url(broken.url) as client:
        client.flushall()
    return broken.url


@pytest.fixture
def admin(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, single_connection_client=True) as client:
        client.ping()
        yield client


@pytest.fixture
def http(settings: Settings) -> Iterator[FlaskClient]:
    with running_app(settings) as app:
        yield app.test_client()


@pytest.fixture
def process(settings: Settings, sql: RunSql, tmp_path: Path) -> Iterator[WorkerProcess]:
    started = WorkerProcess(settings, tmp_path / "worker.log")
    eventually(lambda: sql("SELECT 1 FROM workers"))
    yield started
    if started.process.poll() is None:
        started.stop()


@pytest.mark.parametrize(
    "name",
    [
        "READONLY",
        *(
            pytest.param(name, marks=pytest.mark.nightly)
            for name in ("NOREPLICAS", "WRONGPASS", "max clients", "NOPERM")
        ),
    ],
)
def test_it_polls_meanwhile_and_takes_wake_ups_after(
    process: WorkerProcess, http: FlaskClient, admin: redis.Redis, redis_url: str, name: str
) -> None:
    strike, mend = WRITES_REFUSED[name]
    create_and_wait(http)

    strike(admin)
    try:
        eventually(lambda: "wake-ups not received" in process.messages())
        assert create_and_wait(http)["status"] == "completed"
    finally:
        mend(admin)

    queue = WakeQueue(redis_url)
    assert queue.wake(SCRIPTED_MODEL, 3)
    eventually(lambda: not admin.llen(queue_name(SCRIPTED_MODEL)), within_s=_BACK_WITHIN_S)
    queue.close()
    assert process.process.poll() is None
    assert process.messages().count("worker ready") == 1
    assert process.messages().count("wake-ups not received") == 1


_ENDS_BY_ITSELF = """
import sys
from pathlib import Path
from celery.worker import WorkController
from models.settings import load_settings
from worker.main import main

WorkController.start = lambda self: None
main(load_settings(), "w", None)
"""


def test_a_worker_that_celery_ends_exits_as_after_a_crash(settings: Settings) -> None:
    environment = dict(os.environ) | {
        "ANTIPHON_ENGINE": "scripted",
        "ANTIPHON_DATA_DIR": str(settings.data_dir),
        "DATABASE_URL": settings.database_url or "",
        "DATABASE_MAINTENANCE_URL": settings.database_maintenance_url or "",
        "REDIS_URL": settings.redis_url or "",
    }
    command = [sys.executable, "-c", _ENDS_BY_ITSELF]
    ended = subprocess.run(
        command, env=environment, cwd=_ROOT, capture_output=True, timeout=PATIENCE_S
    )

    assert ended.returncode not in (0, -9), ended.stderr


def test_a_worker_told_to_stop_exits_with_0(process: WorkerProcess, http: FlaskClient) -> None:
    create_and_wait(http)

    assert process.stop() == 0
