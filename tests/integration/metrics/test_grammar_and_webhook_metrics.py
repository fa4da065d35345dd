"""Metrics of grammars and of webhooks."""

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from models.metrics.table import GRAMMAR_COMPILE, GRAMMAR_REJECTS, WEBHOOK_DELIVERIES
from models.settings import Settings
from tests.integration.conftest import RunSql
from tests.integration.desk import Desk
from tests.integration.metrics.moving import Readings, moves
from tests.integration.receiver import ALLOWED, Receiver
from tests.polling import eventually
from tests.tiny_model import save_tiny_model
from worker.maintenance.webhook_delivery import Deliverer


class TestGrammars:
    @pytest.fixture
    def settings(self, settings: Settings, tmp_path: Path) -> Settings:
        """Return settings of a model whose output can be constrained."""
        model = str(save_tiny_model(tmp_path))
        return settings.model_copy(update={"engine": "transformers", "model": model})

    @moves(GRAMMAR_COMPILE, GRAMMAR_REJECTS)
    def test_grammars_are_timed_and_counted_if_they_are_refused(
        self, http: FlaskClient, readings: Readings
    ) -> None:
        for value, code in (("[a-z]{8}", 200), ("[a-z]{8}", 200), ("(", 400)):
            body = {"input": "a", "background": True, "grammar": {"type": "regex", "value": value}}
            assert http.post("/v1/responses", json=body).status_code == code

        assert readings.value(GRAMMAR_REJECTS, reason="unusable") == 1
        # The first two are the same one.
        assert readings.value(GRAMMAR_COMPILE, "_count", backend="llguidance") == 2
        assert readings.value(GRAMMAR_COMPILE, "_sum", backend="llguidance") > 0


class TestWebhooks:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        networks = Settings(webhook_networks=ALLOWED).webhook_networks
        return settings.model_copy(update={"webhook_networks": networks})

    @pytest.fixture
    def receiver(self) -> Iterator[Receiver]:
        with Receiver() as running:
            yield running

    @pytest.fixture
    def deliverer(self, settings: Settings) -> Iterator[None]:
        stopping = threading.Event()
        with closing(Deliverer(settings, poll_s=0.02)) as made:
            thread = threading.Thread(target=made.run, args=[stopping])
            thread.start()
            yield
            stopping.set()
            thread.join()

    @moves(WEBHOOK_DELIVERIES)
    @pytest.mark.usefixtures("deliverer")
    def test_attempts_to_deliver_are_counted_by_their_result(
        self, http: FlaskClient, desk: Desk, sql: RunSql, receiver: Receiver, readings: Readings
    ) -> None:
        endpoint = {"url": receiver.url, "name": "test"}
        assert http.post("/v1/webhook_endpoints", json=endpoint).status_code == 200
        statuses = [500, 200, 410]
        receiver.answer = lambda _: statuses.pop(0)

        desk.finish(desk.running())
        readings.wait_for(lambda num: num == 1, WEBHOOK_DELIVERIES, result="failed")
        sql("UPDATE webhook_deliveries SET next_attempt_at = now()")
        sql("UPDATE webhook_endpoints SET next_probe_at = now()")
        readings.wait_for(lambda num: num == 1, WEBHOOK_DELIVERIES, result="delivered")
        desk.finish(desk.running())
        readings.wait_for(lambda num: num == 1, WEBHOOK_DELIVERIES, result="gone")
        eventually(lambda: not statuses)
