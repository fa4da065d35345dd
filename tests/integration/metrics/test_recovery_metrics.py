"""Metrics of recovery: workers that were lost, responses given up, wake-ups sent again."""

import os
import socket

import redis
from flask.testing import FlaskClient

from cli.supervisor.leases import LeaseEnder
from cli.supervisor.processes import Program
from models.metrics.table import LEASE_RECLAIMS, POISONED, REPUBLISHED
from tests.integration.api.requests import create
from tests.integration.desk import Desk
from tests.integration.metrics.moving import Readings, moves
from worker.maintenance.maintenance import Maintenance


@moves(LEASE_RECLAIMS, POISONED)
def test_responses_of_lost_workers_are_counted_until_they_are_given_up(
    desk: Desk, maintenance: Maintenance, readings: Readings
) -> None:
    desk.create()

    for num_lost in (1, 2, 3):
        desk.claim()
        desk.lapse_leases()
        maintenance.reclaim()
        expired = readings.value(LEASE_RECLAIMS, reason="expired")
        assert (expired, readings.value(POISONED)) == (min(num_lost, 2), num_lost // 3)


@moves(LEASE_RECLAIMS)
def test_the_supervisor_counts_the_responses_of_workers_that_it_has_seen_die(
    desk: Desk, maintenance_url: str, redis_url: str, readings: Readings
) -> None:
    desk.create()
    desk.claim(desk.hire(host=socket.gethostname(), pid=os.getpid()))
    ender = LeaseEnder()
    ender.database_url, ender.redis_url = maintenance_url, redis_url

    ender.on_death(Program(name="worker-1", argv=()), os.getpid(), 1)

    readings.wait_for(lambda num: num == 1, LEASE_RECLAIMS, reason="died")


@moves(REPUBLISHED)
def test_wake_ups_that_are_sent_again_are_counted(
    http: FlaskClient, maintenance: Maintenance, client: redis.Redis, readings: Readings
) -> None:
    for _ in range(3):
        create(http)
    client.flushall()

    maintenance.wake()
    maintenance.wake()

    assert readings.value(REPUBLISHED) == 3
