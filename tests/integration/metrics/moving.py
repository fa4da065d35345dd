"""Which test makes which metric move, and the reading of /metrics."""

from collections.abc import Callable
from typing import TypeVar

from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from models.metrics.metric import Metric
from models.metrics.publisher import MetricPublisher
from tests.polling import eventually

Test = TypeVar("Test", bound=Callable[..., None])

MOVED: dict[str, str] = {}
"""Name of a test that moves it by what the server does, for each metric."""


def moves(*metrics: Metric) -> Callable[[Test], Test]:
    """Note that a test makes metrics move."""

    def note(test: Test) -> Test:
        MOVED.update({metric.name: test.__name__ for metric in metrics})
        return test

    return note


class Readings:
    """Readings of /metrics, with all that this process has counted."""

    def __init__(self, http: FlaskClient, publisher: MetricPublisher) -> None:
        self.http = http
        self._publisher = publisher

    def text(self) -> str:
        """Return the text of /metrics."""
        self._publisher.publish()
        answer = self.http.get("/metrics")
        assert answer.status_code == 200, answer.text
        return answer.text

    def value(self, metric: Metric, suffix: str = "", **labels: str) -> float:
        """Return the sum of a metric's samples that have these labels."""
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.text())
            for sample in family.samples
            if sample.name == metric.name + suffix and labels.items() <= sample.labels.items()
        )

    def wait_for(
        self, is_right: Callable[[float], bool], metric: Metric, suffix: str = "", **labels: str
    ) -> float:
        """Wait until a value is right, and return it."""
        values: list[float] = []

        def look() -> bool:
            values.append(self.value(metric, suffix, **labels))
            return is_right(values[-1])

        eventually(look)
        return values[-1]
