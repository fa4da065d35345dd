"""`antiphon metrics`: the reference of all metrics as Markdown (docs/metrics.md)."""

from models.metrics.metric import Metric
from models.metrics.table import METRICS

_HEAD = """# Metrics

`GET /metrics` has the metrics of all processes on all hosts, of whichever process of the API
answers: it needs a key with the scope `metrics`, once keys exist. How they are gathered, a scrape
configuration, alerts and a dashboard are in [operations.md](operations.md#metrics). This page is
generated from `models/metrics/table.py` by `make docs`.

| Metric | Type | Labels | Meaning |
|---|---|---|---|
"""


def metrics_reference() -> str:
    """Return the page."""
    return _HEAD + "".join(map(_row, METRICS))


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |\n"
