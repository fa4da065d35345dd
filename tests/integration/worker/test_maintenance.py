"""The maintenance loop: reclaims or fails the responses of lost workers, deletes old data."""

import threading
from collections.abc import Iterator
from contextlib import closing
from itertools import islice

import pytest
import redis
from flask.testing import FlaskClient

from models.profile.weights import SCRIPTED_MODEL
from models.recording.recorder import Recorder
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.settings import Settings
from models.streams.event_log import EventLog
from tests.factories import say
from tests.integration.api.requests import DONE, create, event_of, events, fetch, frames, stream
from tests.integration.conftest import NO_REDIS, MakeWorker
from tests.integration.desk import Desk
from tests.integration.in_process import InProcessWorker
from tests.polling import eventually
from worker.maintenance.maintenance import POISON, Maintenance
from worker.queue import queue_name

_QUEUE = queue_name(SCRIPTED_MODEL)
_CUT = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@pytest.fixture
def maintenance_without_valkey(settings: Settings) -> Iterator[Maintenance]:
    """Yield a maintenance loop that cannot reach Valkey."""
    with closing(Maintenance(settings.model_copy(update=NO_REDIS), interval_s=0.02)) as made:
        yield made


@pytest.fixture
def loop(maintenance: Maintenance) -> Iterator[None]:
    yield from run_loop(maintenance)


@pytest.fixture
def loop_without_valkey(maintenance_without_valkey: Maintenance) -> Iterator[None]:
    yield from run_loop(maintenance_without_valkey)


def run_loop(maintenance: Maintenance) -> Iterator[None]:
    """Run the loop; it must end when it is stopped."""
    stopping = threading.Event()
    thread = threading.Thread(target=maintenance.run, args=[stopping])
    thread.start()
    yield
    stopping.set()
    thread.join()


def lose(desk: Desk) -> ResponseRecord:
    """Claim a response for a worker whose lease then expires."""
    lost = desk.running()
    desk.lapse_leases()
    return lost


def wait_until_queued(desk: Desk, response: ResponseRecord) -> None:
    eventually(lambda: desk.status(response) is ResponseStatus.QUEUED)


def crash(desk: Desk, maintenance: Maintenance, *, times: int) -> None:
    """Let several workers, one after the other, claim the oldest response and be lost."""
    for _ in range(times):
        desk.claim()
        desk.lapse_leases()
        maintenance.reclaim()


@pytest.mark.usefixtures("loop")
def test_it_works(desk: Desk, make_worker: MakeWorker) -> None:
    lost = lose(desk)

    make_worker()

    eventually(lambda: desk.status(lost) is ResponseStatus.COMPLETED)


@pytest.mark.usefixtures("loop_without_valkey")
def test_a_round_that_fails_does_not_end_the_loop(desk: Desk) -> None:
    for _ in range(2):
        wait_until_queued(desk, lose(desk))


@pytest.mark.usefixtures("loop")
def test_cut_connections_do_not_end_the_loop(desk: Desk) -> None:
    earlier = lose(desk)
    eventually(lambda: desk.status(earlier) is ResponseStatus.QUEUED)
    desk.finish(desk.claim())

    desk.sql(_CUT)
    desk.store.close()  # the loop's connections were cut as well; it opens new ones

    later = lose(desk)
    eventually(lambda: desk.status(later) is ResponseStatus.QUEUED)


def test_a_wake_up_that_was_lost_is_sent_again(
    http: FlaskClient, maintenance: Maintenance, client: redis.Redis
) -> None:
    for _ in range(3):
        create(http)
    client.flushall()

    maintenance.wake()

    assert client.llen(_QUEUE) == 3


def test_a_wake_up_that_was_sent_again_reaches_a_worker(
    desk: Desk, maintenance: Maintenance, worker: InProcessWorker
) -> None:
    unhinted = desk.create()

    maintenance.wake()

    eventually(lambda: desk.status(unhinted) is ResponseStatus.COMPLETED)


def test_no_wake_up_is_sent_when_the_queue_holds_enough(
    http: FlaskClient, maintenance: Maintenance, client: redis.Redis
) -> None:
    for _ in range(3):
        create(http)

    maintenance.wake()

    assert client.llen(_QUEUE) == 3


def test_only_the_wake_ups_that_are_missing_are_sent(
    http: FlaskClient, desk: Desk, maintenance: Maintenance, client: redis.Redis
) -> None:
    create(http)
    for _ in range(2):
        desk.create()

    maintenance.wake()

    assert client.llen(_QUEUE) == 3


def test_what_is_running_or_ended_needs_no_wake_up(
    desk: Desk, maintenance: Maintenance, client: redis.Redis
) -> None:
    desk.running()
    desk.finish(desk.running())

    maintenance.wake()

    assert client.llen(_QUEUE) == 0


def test_each_model_has_wake_ups_of_its_own(
    desk: Desk, maintenance: Maintenance, client: redis.Redis
) -> None:
    for model in ("other", SCRIPTED_MODEL, "other"):
        desk.create(model=model)

    maintenance.wake()

    assert (client.llen(_QUEUE), client.llen(queue_name("other"))) == (1, 2)


def test_no_more_wake_ups_wait_than_can_be_of_use(
    settings: Settings, desk: Desk, client: redis.Redis
) -> None:
    for _ in range(3):
        desk.create()

    with closing(Maintenance(settings, max_waiting=2)) as maintenance:
        maintenance.wake()

    assert client.llen(_QUEUE) == 2


def test_what_a_lost_worker_held_is_queued_again(desk: Desk, maintenance: Maintenance) -> None:
    lost = lose(desk)

    maintenance.reclaim()

    assert desk.status(lost) is ResponseStatus.QUEUED
    assert desk.num_crashes(lost) == 1


def test_what_a_living_worker_holds_is_left_with_it(desk: Desk, maintenance: Maintenance) -> None:
    held = desk.running()

    maintenance.reclaim()

    assert desk.status(held) is ResponseStatus.IN_PROGRESS


def test_a_response_outlives_two_workers(desk: Desk, maintenance: Maintenance) -> None:
    response = desk.create()

    crash(desk, maintenance, times=2)

    assert desk.status(response) is ResponseStatus.QUEUED


def test_a_response_that_has_lost_three_workers_is_failed(
    http: FlaskClient, desk: Desk, maintenance: Maintenance
) -> None:
    response = create(http)

    crash(desk, maintenance, times=3)

    failed = fetch(http, response["id"])
    assert failed["status"] == "failed"
    assert failed["error"] == POISON.error
    assert failed["error"]["code"] == "server_error"


def test_the_stream_of_a_response_that_is_given_up_ends(
    http: FlaskClient, desk: Desk, maintenance: Maintenance
) -> None:
    response = create(http)
    streamed = frames(stream(http, response["id"]))
    seen = list(islice(streamed, 2))

    crash(desk, maintenance, times=3)
    *seen, done = [*seen, *streamed]

    assert event_of(seen[-1])["type"] == "response.failed"
    assert event_of(seen[-1])["response"] == fetch(http, response["id"])
    assert done == DONE


def test_the_end_of_a_response_that_is_given_up_is_published(
    desk: Desk, maintenance: Maintenance, log: EventLog
) -> None:
    response = desk.create()

    crash(desk, maintenance, times=3)

    [end_event] = log.read(response.id, start=2)
    assert end_event.type == "response.failed"


def test_the_events_of_a_response_that_is_given_up_follow_what_was_logged(
    http: FlaskClient, desk: Desk, maintenance: Maintenance, log: EventLog
) -> None:
    response = create(http)
    crash(desk, maintenance, times=2)
    recorder = Recorder(desk.claim(), log)
    recorder.begin()
    say(recorder, "So far", [1])
    recorder.flush()
    desk.lapse_leases()

    maintenance.reclaim()

    streamed = events(stream(http, response["id"]))
    assert [event["sequence_number"] for event in streamed] == list(range(len(streamed)))
    assert [event["type"] for event in streamed[-2:]] == [
        "response.output_text.delta",
        "response.failed",
    ]


def test_the_last_worker_that_was_lost_changes_nothing_any_more(
    desk: Desk, maintenance: Maintenance
) -> None:
    response = desk.create()
    crash(desk, maintenance, times=2)
    claimed = desk.claim()
    desk.lapse_leases()
    maintenance.reclaim()

    assert not desk.finish(claimed)
    assert desk.status(response) is ResponseStatus.FAILED


def test_a_response_is_given_up_once_it_can_be_known_what_was_shown(
    desk: Desk, maintenance: Maintenance, maintenance_without_valkey: Maintenance
) -> None:
    response = desk.create()
    crash(desk, maintenance, times=2)
    desk.claim()
    desk.lapse_leases()

    with pytest.raises(redis.RedisError):
        maintenance_without_valkey.reclaim()
    assert desk.status(response) is ResponseStatus.IN_PROGRESS

    maintenance.reclaim()
    assert desk.status(response) is ResponseStatus.FAILED
