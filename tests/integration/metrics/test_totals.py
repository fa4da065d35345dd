"""Totals of all processes: complete, never counted twice, and never decreasing."""

import pytest
import redis
from flask.testing import FlaskClient
from redis.backoff import NoBackoff
from redis.retry import Retry

from models.metrics.publisher import MetricPublisher
from models.metrics.recorder import INFINITY, SUM, MetricRecorder, Series
from models.metrics.table import POISONED, STREAM_CLIENTS, TOKENS, TTFT
from models.metrics.totals import GaugeValue, MetricTotals
from tests.integration.metrics.moving import Readings

_STREAMS = Series(STREAM_CLIENTS.name, ())


def publisher(client: redis.Redis, recorder: MetricRecorder, streams: float = 0) -> MetricPublisher:
    gauges = [GaugeValue(STREAM_CLIENTS, streams)] if streams else []
    return MetricPublisher(client, lambda: gauges, recorder=recorder)


def test_counts_and_gauges_of_several_processes_are_added(client: redis.Redis) -> None:
    recorders = [MetricRecorder(), MetricRecorder()]
    publishers = [publisher(client, recorder, streams=2) for recorder in recorders]

    for recorder, each in zip(recorders, publishers, strict=True):
        recorder.count(TOKENS, "output", "m", amount=5)
        recorder.observe(TTFT, 0.25, "m", times=2)
        each.publish()
        recorder.count(TOKENS, "output", "m")
        each.publish()

    snapshot = MetricTotals(client).read()
    assert snapshot.totals[Series(TOKENS.name, ("output", "m"))] == 12
    assert snapshot.totals[Series(TTFT.name, ("m",), "0.3")] == 4
    assert snapshot.totals[Series(TTFT.name, ("m",), SUM)] == 1
    assert snapshot.gauges[_STREAMS] == 4


def test_a_process_that_ends_keeps_its_counts_and_not_its_gauges(client: redis.Redis) -> None:
    recorder = MetricRecorder()
    ended = publisher(client, recorder, streams=3)
    ended.start()
    recorder.count(POISONED)
    ended.stop()

    snapshot = MetricTotals(client).read()

    assert snapshot.totals[Series(POISONED.name, ())] == 1
    assert _STREAMS not in snapshot.gauges


def test_gauges_of_a_process_that_was_killed_are_left_out_after_seconds(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.metrics.totals.HOLDS_S", -1)
    publisher(client, MetricRecorder(), streams=3).publish()

    assert MetricTotals(client).read().gauges == {}


def test_a_publication_whose_answer_was_lost_is_counted_once(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = MetricRecorder()
    unlucky = publisher(client, recorder)
    recorder.count(POISONED)
    publish, failures = MetricTotals.publish, [redis.ConnectionError()]

    def lose_answer(*arguments: object) -> None:
        publish(*arguments)  # type: ignore[arg-type]
        if failures:
            raise failures.pop()

    monkeypatch.setattr(MetricTotals, "publish", lose_answer)
    with pytest.raises(redis.ConnectionError):
        unlucky.publish()
    recorder.count(POISONED)
    unlucky.publish()
    unlucky.publish()

    assert MetricTotals(client).read().totals == {Series(POISONED.name, ()): 2}


def test_counts_wait_while_redis_is_away(client: redis.Redis) -> None:
    recorder = MetricRecorder()
    nowhere = redis.Redis(port=1, retry=Retry(NoBackoff(), 0))
    unlucky = publisher(nowhere, recorder)
    for _ in range(2):
        recorder.count(POISONED)
        with pytest.raises(redis.ConnectionError):
            unlucky.publish()

    unlucky._totals = MetricTotals(client)
    unlucky.stop()

    assert MetricTotals(client).read().totals == {Series(POISONED.name, ()): 2}


def test_totals_stay_as_they_were_while_redis_is_away(
    readings: Readings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = readings.value(POISONED)

    def fail(_totals: MetricTotals) -> None:
        raise redis.ConnectionError

    monkeypatch.setattr(MetricTotals, "read", fail)
    assert readings.value(POISONED) == before


def test_buckets_of_another_version_count_in_the_next_of_this_one(
    client: redis.Redis, readings: Readings
) -> None:
    totals = MetricTotals(client)
    old = {
        Series(TTFT.name, ("m",), "0.22"): 3.0,
        Series(TTFT.name, ("m",), INFINITY): 1.0,
        Series("antiphon_forgotten_total", ("m",)): 1.0,
        Series(POISONED.name, ("with a label",)): 1.0,
    }
    totals.publish(1, old, [])

    assert readings.value(TTFT, "_bucket", le="0.2", model="m") == 0
    assert readings.value(TTFT, "_bucket", le="0.3", model="m") == 3
    assert readings.value(TTFT, "_count", model="m") == 4
    assert readings.value(POISONED) == 0
    assert "forgotten" not in readings.text()


def test_openmetrics_is_answered_to_who_prefers_it(http: FlaskClient) -> None:
    answer = http.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})

    assert answer.mimetype == "application/openmetrics-text"
    assert answer.text.endswith("# EOF\n")
    assert http.get("/metrics").mimetype == "text/plain"
