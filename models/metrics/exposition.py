"""Text of /metrics: the table of metrics with the numbers of a snapshot."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector, CollectorRegistry

from models.metrics.metric import Kind, Metric
from models.metrics.recorder import INFINITY, SUM, Series, bound_text
from models.metrics.table import METRICS
from models.metrics.totals import Snapshot

Labels = tuple[str, ...]


class SnapshotCollector(Collector):
    """Metrics of one snapshot in the types of the Prometheus client."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._totals = _group(snapshot.totals)
        self._gauges = _group(snapshot.gauges)

    def collect(self) -> Iterator[Family]:
        """Yield every metric of the table."""
        for metric in METRICS:
            if metric.kind is Kind.GAUGE:
                yield _gauge(metric, self._gauges[metric.name])
            elif metric.kind is Kind.COUNTER:
                yield _counter(metric, self._totals[metric.name])
            else:
                yield _histogram(metric, self._totals[metric.name])


def render(snapshot: Snapshot, accept: str = "") -> tuple[bytes, str]:
    """Return the text, and its content type, in a format that is acceptable."""
    registry = CollectorRegistry()
    registry.register(SnapshotCollector(snapshot))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def _group(values: Mapping[Series, float]) -> dict[str, dict[Labels, dict[str, float]]]:
    """Return the values by metric, labels and part."""
    grouped: dict[str, dict[Labels, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for series, value in values.items():
        grouped[series.name][series.labels][series.part] = value
    return grouped


def _rows(
    metric: Metric, values: Mapping[Labels, Mapping[str, float]]
) -> Iterable[tuple[Labels, Mapping[str, float]]]:
    """Return the values of each combination of labels, in order; zero if there are no labels.

    Those whose labels are not the metric's were counted by another version of this server.
    """
    if not metric.labels:
        return [((), values.get((), {}))]
    return sorted(row for row in values.items() if len(row[0]) == len(metric.labels))


def _gauge(metric: Metric, values: Mapping[Labels, Mapping[str, float]]) -> Family:
    family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, parts in _rows(metric, values):
        family.add_metric(labels, parts.get("", 0.0))
    return family


def _counter(metric: Metric, values: Mapping[Labels, Mapping[str, float]]) -> Family:
    family = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, parts in _rows(metric, values):
        family.add_metric(labels, parts.get("", 0.0))
    return family


def _histogram(metric: Metric, values: Mapping[Labels, Mapping[str, float]]) -> Family:
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, parts in _rows(metric, values):
        counts = {float(part): n for part, n in parts.items() if part != SUM}
        # Bounds of another version count where the next greater bound is.
        buckets = [
            (bound_text(bound), sum(n for other, n in counts.items() if other <= bound))
            for bound in metric.buckets
        ]
        buckets.append((INFINITY, sum(counts.values())))
        family.add_metric(labels, buckets, parts.get(SUM, 0.0))
    return family
