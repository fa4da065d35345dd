"""Type of one metric: its name, labels and buckets."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Kind of a metric, as Prometheus names it."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Metric:
    """One row of the table of metrics; compared by identity, so that it is a cheap key."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    """Names of its labels. Their values never come from a request, but for what is one of a few."""
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram's buckets, ascending, without the last, which has none."""


def counter(name: str, text: str, *labels: str) -> Metric:
    """Return a metric that only grows."""
    return Metric(name=name, kind=Kind.COUNTER, help=text, labels=labels)


def gauge(name: str, text: str, *labels: str) -> Metric:
    """Return a metric that goes up and down."""
    return Metric(name=name, kind=Kind.GAUGE, help=text, labels=labels)


def histogram(name: str, text: str, *labels: str, buckets: tuple[float, ...]) -> Metric:
    """Return a metric that counts values in buckets."""
    return Metric(name=name, kind=Kind.HISTOGRAM, help=text, labels=labels, buckets=buckets)
