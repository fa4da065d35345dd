"""Fixtures of the tests of metrics."""

import pytest
import redis
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI

from api.metrics.collector import MetricsCollector
from api.services import Services
from models.metrics.recorder import RECORDER
from models.metrics.totals import MetricTotals
from tests.integration.metrics.moving import Readings


@pytest.fixture(autouse=True)
def nothing_counted(client: redis.Redis) -> None:
    """Begin with nothing counted in this process, and an empty Redis."""
    RECORDER.take()


@pytest.fixture
def readings(app: OpenAPI, http: FlaskClient, client: redis.Redis) -> Readings:
    """Return readings of a queue that is looked at every time."""
    services: Services = app.extensions["antiphon"]
    services.metrics = MetricsCollector(
        MetricTotals(client), services.store.queue, list(services.by_model), cached_s=0
    )
    return Readings(http, services.metric_publisher)
