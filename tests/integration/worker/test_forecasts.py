"""Forecasts that maintenance publishes: what a project reads of them, and when they expire."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import redis

from models.forecast.forecast import forecast
from models.forecast.published import LEAST_TTL_S, PublishedForecasts
from models.forecast.speed_meter import SpeedMeter
from models.profile.weights import SCRIPTED_MODEL
from models.settings import Settings
from models.tables import DEFAULT_PROJECT
from tests.integration.conftest import NO_REDIS
from tests.integration.desk import Desk
from tests.polling import eventually
from worker.maintenance.forecasts import INTERVAL_S, ForecastPublisher


def test_what_was_published_is_read(desk: Desk, client: redis.Redis) -> None:
    other = desk.add_project("other")
    for number in range(30):
        desk.create(project_id=other if number % 3 else DEFAULT_PROJECT)
    state = desk.store.forecasts.of_models()[SCRIPTED_MODEL]
    made = forecast(state, SpeedMeter().speed())
    published = PublishedForecasts(client)
    published.publish(SCRIPTED_MODEL, made)

    found = published.read(SCRIPTED_MODEL, DEFAULT_PROJECT)

    assert found is not None
    assert set(found.shares) == {(DEFAULT_PROJECT, False)}
    shares = (found.shares[DEFAULT_PROJECT, False], made.shares[DEFAULT_PROJECT, False])
    for num_ahead in range(10):
        places = [f.normal.place(s, num_ahead) for f, s in zip((found, made), shares, strict=True)]
        assert places[0] == places[1]


def test_forecasts_expire_and_unknown_models_have_none(
    desk: Desk, client: redis.Redis, forecasts: ForecastPublisher
) -> None:
    desk.create()

    interval_s = forecasts.publish()

    assert interval_s >= INTERVAL_S
    longest_ms = 1000 * max(LEAST_TTL_S, 3 * interval_s)
    assert 0 < int(client.pttl(f"antiphon:forecast:{SCRIPTED_MODEL}")) <= longest_ms
    assert PublishedForecasts(client).read("unknown", DEFAULT_PROJECT) is None


@contextmanager
def running(publisher: ForecastPublisher) -> Iterator[None]:
    """Run the loop of a publisher in a thread; it must end when it is stopped."""
    stopping = threading.Event()
    thread = threading.Thread(target=publisher.run, args=[stopping])
    thread.start()
    yield
    stopping.set()
    thread.join()


def test_the_loop_publishes(desk: Desk, client: redis.Redis, forecasts: ForecastPublisher) -> None:
    desk.create()
    published = PublishedForecasts(client)

    with running(forecasts):
        eventually(lambda: published.read(SCRIPTED_MODEL, DEFAULT_PROJECT) is not None)


def test_the_loop_outlasts_an_outage(settings: Settings, desk: Desk) -> None:
    desk.create()
    away = settings.model_copy(update=NO_REDIS)
    with closing(ForecastPublisher(away)) as publisher, running(publisher):
        eventually(lambda: publisher.outages.num_failures > 1)


def test_a_flow_that_is_gone_is_in_no_later_forecast(
    desk: Desk, client: redis.Redis, forecasts: ForecastPublisher
) -> None:
    queued = desk.create()
    forecasts.publish()
    desk.store.responses.delete(queued.project_id, queued.id)
    forecasts.publish()

    found = PublishedForecasts(client).read(SCRIPTED_MODEL, DEFAULT_PROJECT)

    assert found is not None
    assert found.shares == {}
