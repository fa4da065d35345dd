"""Readings at every minute: written once by any number of processes, kept for a day."""

import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
import redis

from models.metrics.publisher import MetricPublisher
from models.metrics.readings import Reading
from models.metrics.recorder import MetricRecorder
from models.metrics.table import JOB_SECONDS, QUEUE_WAIT, TOKENS
from models.profile.weights import SCRIPTED_MODEL
from models.settings import Settings
from models.store.monitoring.minutes import Minutes
from models.store.store import Store
from tests.integration.conftest import RunSql, with_database
from tests.integration.desk import Desk
from tests.polling import eventually
from worker.maintenance.minutes import MinuteWriter

_ROWS = "SELECT model, num_queued, totals FROM metric_minutes ORDER BY minute, model"
_BACK = "UPDATE metric_minutes SET minute = minute - interval '{}'"
_MINUTE = timedelta(minutes=1)


@pytest.fixture
def writer(settings: Settings, maintenance_url: str) -> Iterator[MinuteWriter]:
    with closing(MinuteWriter(with_database(settings, maintenance_url))) as made:
        yield made


def test_a_minute_has_the_totals_and_the_queue_of_each_model(
    desk: Desk, writer: MinuteWriter, client: redis.Redis, sql: RunSql
) -> None:
    recorder = MetricRecorder()
    recorder.count(TOKENS, "output", SCRIPTED_MODEL, amount=5)
    recorder.observe(QUEUE_WAIT, 3, SCRIPTED_MODEL, times=2)
    recorder.observe(JOB_SECONDS, 1, "failed", "other")
    MetricPublisher(client, recorder=recorder).publish()
    desk.create(project_id=desk.add_project("one"))
    desk.create(project_id=desk.add_project("another"))

    writer.write()

    assert sql(_ROWS) == [
        ("other", 0, {"ended": 1, "failed": 1}),
        (SCRIPTED_MODEL, 2, {"output": 5, "wait 5.0": 2}),
    ]


def test_several_processes_write_a_minute_once(store: Store, sql: RunSql) -> None:
    readings = [Reading(model=model, num_queued=1, totals={"output": 1}) for model in ("a", "b")]
    start = threading.Barrier(6)

    def write() -> None:
        start.wait()
        store.minutes.write(readings)

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(sql("SELECT DISTINCT minute FROM metric_minutes")) * 2 == len(sql(_ROWS))


def test_the_first_reading_of_a_minute_stays(store: Store, sql: RunSql) -> None:
    seconds = 0.0
    while seconds < 2:  # both within one minute
        seconds = store.minutes.write([])
    store.minutes.write([Reading(model="m", num_queued=1, totals={})])
    seconds = store.minutes.write(
        [Reading(model="m", num_queued=9, totals={}), Reading(model="new", num_queued=2, totals={})]
    )

    assert sql(_ROWS) == [("m", 1, {}), ("new", 2, {})]
    assert 0 < seconds <= 60


def test_readings_older_than_a_day_and_an_hour_are_deleted(store: Store, sql: RunSql) -> None:
    for age in ("24 h 58 min", "25 h 2 min"):
        store.minutes.write([Reading(model="m", num_queued=1, totals={})])
        sql(_BACK.format(age) + " WHERE minute > now() - interval '1 h'")

    store.minutes.write([Reading(model="m", num_queued=1, totals={})])
    ages = sql("SELECT round(extract(epoch FROM now() - minute) / 3600) FROM metric_minutes")

    assert sorted(int(age) for (age,) in ages) == [0, 25]


def test_a_step_has_its_first_reading_and_the_longest_queue_within(
    store: Store, sql: RunSql
) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    first = hour - timedelta(hours=2)
    for minute, queued in enumerate([3, 8, 1, 2, 4, 5]):
        store.minutes.write([Reading(model="m", num_queued=queued, totals={"output": minute})])
        sql(
            "UPDATE metric_minutes SET minute = %s WHERE minute > now() - interval '5 min'",
            first + minute * _MINUTE,
        )

    found = store.minutes.read(first, first + 5 * _MINUTE, 5 * _MINUTE)

    assert [(row.minute, row.max_queued, row.totals) for row in found] == [
        (first, 8, {"output": 0}),
        (first + 5 * _MINUTE, 5, {"output": 5}),
    ]


def test_the_loop_writes_by_itself_survives_a_failure_and_waits_for_the_next_minute(
    desk: Desk, writer: MinuteWriter, sql: RunSql, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.create()
    write, failures = Minutes.write, [redis.ConnectionError()]
    waits: list[float] = []

    def fail_once(minutes: Minutes, readings: list[Reading]) -> float:
        if failures:
            raise failures.pop()
        waits.append(write(minutes, readings))
        return waits[-1]

    monkeypatch.setattr(Minutes, "write", fail_once)
    stopping = threading.Event()
    thread = threading.Thread(target=writer.run, args=[stopping])
    thread.start()
    eventually(lambda: bool(sql(_ROWS)))
    stopping.set()
    thread.join()

    assert failures == []
    assert [(model, queued) for model, queued, _ in sql(_ROWS)][:1] == [(SCRIPTED_MODEL, 1)]
    assert len(waits) <= 2
