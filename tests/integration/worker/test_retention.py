"""Retention: old data is deleted, whatever else goes on."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import redis
from flask.testing import FlaskClient

from models.ids import id_floor, response_wire_id
from models.recording.recorder import Recorder
from models.responses.ending import EndingCause
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.settings import Settings
from models.streams.event_log import EventLog
from models.streams.unstored import UNSTORED_TTL_S
from tests.factories import say
from tests.integration.api.requests import events, fetch, frames, stream
from tests.integration.conftest import NO_REDIS, RunSql, running_app
from tests.integration.desk import Desk
from tests.integration.traces import keys_that_mention, rows_that_mention
from tests.polling import PATIENCE_S, eventually
from worker.maintenance.retention import Retention


@contextmanager
def running_retention(settings: Settings, **pace: float) -> Iterator[None]:
    """Run retention as the maintenance process does; it must end when it is stopped."""
    stopping = threading.Event()
    with closing(Retention(settings, **pace)) as retention:
        thread = threading.Thread(target=retention.run, args=[stopping])
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join(PATIENCE_S)
        assert not thread.is_alive()


def id_of_age(**age: float) -> UUID:
    """Return the id of a response of this age."""
    return id_floor(datetime.now(UTC) - timedelta(**age))


def end(desk: Desk, log: EventLog, **changes: Any) -> ResponseRecord:
    """Create a response that has ended, with text in its items, its archive and its log."""
    claimed = desk.running(**changes)
    recorder = Recorder(claimed, log)
    recorder.begin()
    say(recorder, "Hello.", [1])
    ending = recorder.finish(EndingCause(status=ResponseStatus.COMPLETED))
    assert desk.store.finisher.finish(claimed, ending)
    recorder.publish_end()
    return claimed


def exists(desk: Desk, response: ResponseRecord) -> bool:
    return bool(desk.sql("SELECT id FROM responses WHERE id = %s", response.id))


def old_rows(sql: RunSql, count: int) -> None:
    """Create a number of responses with an item and an archive each, which ended long ago."""
    ids = [id_floor(datetime.now(UTC) - timedelta(days=40, seconds=n)) for n in range(count)]
    sql(
        "INSERT INTO responses (id, project_id, model, status, background, store, finished_at)"
        " SELECT id, 'default', 'scripted', 'completed', true, true, now() - interval '40 d'"
        " FROM unnest(%s::uuid[]) id",
        ids,
    )
    sql(
        "INSERT INTO items SELECT id, 'input', 0, 'default', '{}' FROM unnest(%s::uuid[]) id",
        ids,
    )
    sql(
        "INSERT INTO event_archives SELECT id, 'default', 0, '' FROM unnest(%s::uuid[]) id",
        ids,
    )


def test_it_works(settings: Settings, sql: RunSql) -> None:
    old_rows(sql, 1)

    with running_retention(settings):
        eventually(lambda: sql("SELECT count(*) FROM responses") == [(0,)])


def test_a_backlog_is_worked_off_in_batches(sql: RunSql, retention: Retention) -> None:
    old_rows(sql, 1201)

    retention.sweep()

    for table in ("responses", "items", "event_archives"):
        assert sql(f"SELECT count(*) FROM {table}") == [(0,)]


def test_a_sweep_of_much_ends_when_the_process_stops(settings: Settings, sql: RunSql) -> None:
    old_rows(sql, 501)

    with running_retention(settings, pause_ratio=1e6):
        eventually(lambda: sql("SELECT count(*) FROM responses") == [(1,)])


def test_a_step_that_fails_keeps_no_other_from_being_done(
    settings: Settings, sql: RunSql, desk: Desk
) -> None:
    old_rows(sql, 1)
    desk.hire()
    sql("UPDATE workers SET lease_until = now() - interval '2 hours'")

    with closing(Retention(settings.model_copy(update=NO_REDIS))) as cut_off:
        cut_off.sweep()

    assert sql("SELECT id FROM responses") == []
    assert sql("SELECT id FROM workers") == []


def test_nothing_is_left_of_a_response_past_its_retention(
    desk: Desk, log: EventLog, retention: Retention, sql: RunSql, client: redis.Redis
) -> None:
    expired = end(desk, log, id=id_of_age(days=31))
    assert keys_that_mention(client, expired.id.hex)

    retention.sweep()

    assert rows_that_mention(sql, str(expired.id)) == []
    assert rows_that_mention(sql, expired.id.hex) == []
    assert keys_that_mention(client, expired.id.hex) == []


def test_a_response_within_its_retention_is_kept_whole(
    http: FlaskClient, desk: Desk, log: EventLog, retention: Retention
) -> None:
    wire_id = response_wire_id(end(desk, log, id=id_of_age(days=29)).id)
    before = fetch(http, wire_id), events(stream(http, wire_id))

    retention.sweep()

    assert (fetch(http, wire_id), events(stream(http, wire_id))) == before


def test_the_retention_is_a_setting(settings: Settings, desk: Desk, log: EventLog) -> None:
    older, younger = end(desk, log, id=id_of_age(hours=13)), end(desk, log, id=id_of_age(hours=11))

    with closing(Retention(settings.model_copy(update={"retention_days": 0.5}))) as half_a_day:
        half_a_day.sweep()

    assert not exists(desk, older)
    assert exists(desk, younger)


@pytest.mark.parametrize("status", [ResponseStatus.QUEUED, ResponseStatus.IN_PROGRESS])
def test_what_has_not_ended_does_not_expire(
    desk: Desk, retention: Retention, status: ResponseStatus
) -> None:
    response = desk.create(id=id_of_age(days=31))
    if status is ResponseStatus.IN_PROGRESS:
        desk.claim()

    retention.sweep()

    assert desk.status(response) is status


def end_earlier(desk: Desk, response: ResponseRecord, minutes: int) -> None:
    desk.sql(
        "UPDATE responses SET finished_at = now() - make_interval(mins => %s) WHERE id = %s",
        minutes,
        response.id,
    )


def test_a_response_that_is_not_to_be_stored_is_kept_for_ten_minutes_after_its_end(
    desk: Desk, log: EventLog, retention: Retention
) -> None:
    unstored = {"background": False, "store": False, "parameters": {}}
    older, younger = (end(desk, log, id=id_of_age(minutes=30), **unstored) for _ in range(2))
    end_earlier(desk, older, minutes=11)
    end_earlier(desk, younger, minutes=9)

    retention.sweep()

    assert not exists(desk, older)
    assert exists(desk, younger)


def test_the_events_of_a_response_that_is_not_stored_go_with_its_row(
    desk: Desk, log: EventLog, retention: Retention, client: redis.Redis
) -> None:
    expired = end(desk, log, background=False, store=False, parameters={})
    end_earlier(desk, expired, minutes=11)

    retention.sweep()

    assert keys_that_mention(client, expired.id.hex) == []


def test_what_is_not_stored_is_kept_while_its_client_waits(
    http: FlaskClient, client: redis.Redis, retention: Retention
) -> None:
    streamed = frames(
        http.post("/v1/responses", json={"input": "a", "store": False, "stream": True})
    )
    next(streamed)
    [key] = client.keys("antiphon:unstored:*")
    client.expire(key, 5)

    retention.sweep()

    assert client.ttl(key) > UNSTORED_TTL_S - 60


def test_what_its_client_has_left_is_not_kept(
    desk: Desk, client: redis.Redis, retention: Retention
) -> None:
    waiting = desk.create(background=False, store=False, parameters={})

    retention.sweep()

    assert client.keys("antiphon:unstored:*") == []
    assert desk.status(waiting) is ResponseStatus.QUEUED


def test_workers_that_were_lost_long_ago_are_forgotten(
    desk: Desk, retention: Retention, sql: RunSql
) -> None:
    desk.hire()
    sql("UPDATE workers SET lease_until = now() - interval '2 hours'")

    retention.sweep()

    assert sql("SELECT id FROM workers") == []


@pytest.mark.parametrize("is_deleted", [True, False])
def test_a_log_that_a_lost_worker_left_behind_is_forgotten(
    desk: Desk, log: EventLog, retention: Retention, client: redis.Redis, is_deleted: bool
) -> None:
    claimed = desk.running()
    begin(claimed, log)
    if is_deleted:
        desk.store.responses.delete(claimed.project_id, claimed.id)
    else:
        desk.finish(claimed)
    assert keys_that_mention(client, claimed.id.hex)

    retention.sweep()

    assert keys_that_mention(client, claimed.id.hex) == []


def test_an_ended_log_that_could_not_be_deleted_is_forgotten_soon(
    settings: Settings,
    desk: Desk,
    log: EventLog,
    client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = end(desk, log)
    sweeps = count_sweeps(monkeypatch)
    with running_retention(settings, logs_interval_s=0.02):
        eventually(lambda: sweeps)
        ended = end(desk, log)

        with running_app(settings.model_copy(update=NO_REDIS)) as cut_off:
            answer = cut_off.test_client().delete(f"/v1/responses/{response_wire_id(ended.id)}")

        assert answer.status_code == 200
        eventually(lambda: keys_that_mention(client, ended.id.hex) == [])
    assert keys_that_mention(client, kept.id.hex)
    assert len(sweeps) == 1


def count_sweeps(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Return a list that grows with each complete sweep."""
    sweeps: list[None] = []
    sweep = Retention.sweep

    def counted(retention: Retention) -> None:
        sweep(retention)
        sweeps.append(None)

    monkeypatch.setattr(Retention, "sweep", counted)
    return sweeps


def test_the_log_of_what_is_running_is_kept(
    desk: Desk, log: EventLog, retention: Retention
) -> None:
    claimed = desk.running()
    begin(claimed, log)
    logged = log.read(claimed.id, start=2)

    retention.sweep()

    assert logged
    assert log.read(claimed.id, start=2) == logged


def begin(claimed: ResponseRecord, log: EventLog) -> None:
    """Write the first events of a response, as its worker does."""
    recorder = Recorder(claimed, log)
    recorder.begin()
    recorder.flush()


def test_a_project_may_keep_its_responses_for_fewer_days_than_the_server(
    desk: Desk, log: EventLog, retention: Retention, sql: RunSql
) -> None:
    sql("INSERT INTO projects (project_id, retention_days) VALUES ('short', 2), ('long', 60)")
    kept = [
        end(desk, log, id=id_of_age(days=3)),
        end(desk, log, project_id="short", id=id_of_age(days=1)),
        end(desk, log, project_id="long", id=id_of_age(days=3)),
    ]
    running = desk.running(project_id="short", id=id_of_age(days=3))
    old = end(desk, log, project_id="short", id=id_of_age(days=3))
    older = end(desk, log, project_id="long", id=id_of_age(days=40))

    retention.sweep()

    assert [exists(desk, response) for response in (*kept, running)] == [True] * 4
    assert [exists(desk, response) for response in (old, older)] == [False] * 2
    assert log.read(old.id, start=0) == []
