"""The table of metrics: each is moved by a test, documented, and named as Prometheus wants it."""

import re
from importlib import import_module
from pathlib import Path

import pytest

from cli.commands.metrics import metrics_reference
from models.metrics.metric import Kind, Metric
from models.metrics.table import METRICS
from tests.integration.metrics.moving import MOVED

_ROOT = Path(__file__).parents[3]
_ALLOWED_LABELS = {
    *("backend", "code", "dependency", "device", "dir", "host", "method", "model", "outcome"),
    *("priority", "reason", "result", "route", "status", "worker", "write"),
}


def test_every_metric_is_made_to_move_by_a_test() -> None:
    for path in Path(__file__).parent.glob("test_*_metrics.py"):
        import_module(f"tests.integration.metrics.{path.stem}")

    assert {metric.name for metric in METRICS} == MOVED.keys()


def test_the_page_of_metrics_is_up_to_date() -> None:
    assert (_ROOT / "docs/metrics.md").read_text() == metrics_reference()


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metric_is_named_as_prometheus_advises(metric: Metric) -> None:
    assert re.fullmatch(r"antiphon_[a-z_]+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM)
    assert list(metric.buckets) == sorted(set(metric.buckets))
    # A label with another name may be one whose values clients choose.
    assert set(metric.labels) <= _ALLOWED_LABELS


def test_the_names_that_were_asked_for_are_there() -> None:
    names = """jobs queue_depth queue_oldest_seconds queue_wait_seconds ttft_seconds itl_seconds
        tokens_total job_seconds lease_reclaims_total fenced_writes_total poisoned_total
        republished_total stream_clients stream_resumes_total stream_dropped_total
        worker_last_token_age_seconds vram_bytes grammar_compile_seconds grammar_rejects_total
        http_requests_total webhook_deliveries_total db_pool_wait_seconds"""
    assert {f"antiphon_{name}" for name in names.split()} <= {metric.name for metric in METRICS}
