"""Page of graphs: the queue, its waits, tokens and failures of the last day or hour."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from flask import request

from api.dashboard.blueprint import blueprint
from api.dashboard.graphs.charts import Chart, draw_chart
from api.dashboard.operations.answers import ADMIN_PATH
from api.dashboard.pages import render
from api.services import services
from models.errors import InvalidRequestError
from models.metrics.history import Figures, figures_of

_VIEWS = ("charts", "table")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Length of time that is shown, and of the steps that it is shown in."""

    name: str
    length: timedelta
    step: timedelta


_DAY = Span(name="24 hours", length=timedelta(hours=24), step=timedelta(minutes=5))
_HOUR = Span(name="1 hour", length=timedelta(hours=1), step=timedelta(minutes=1))
SPANS: Mapping[str, Span] = MappingProxyType({"24h": _DAY, "1h": _HOUR})


@blueprint.get(f"{ADMIN_PATH}/graphs")
def show_graphs() -> str:
    """Show the graphs."""
    return render("graphs.html", **_read())


@blueprint.get(f"{ADMIN_PATH}/graphs/figures")
def poll_graphs() -> str:
    """Return the part of the page that changes."""
    return render("graph_figures.html", **_read())


def _read() -> dict[str, object]:
    span_id, view = _asked("span", [*SPANS]), _asked("view", _VIEWS)
    model = request.args.get("model", "")
    span = SPANS[span_id]
    last = _floor(datetime.now(UTC), span.step)
    first = last - span.length
    rows = services().store.minutes.read(first, last, span.step)
    models = sorted({*services().by_model, *(row.model for row in rows)})
    mine = [row for row in rows if model in ("", row.model)]
    figures = figures_of(mine, first, span.length // span.step, span.step)
    return {
        "spans": SPANS,
        "span": span,
        "span_id": span_id,
        "view": view,
        "model": model,
        "models": models,
        "figures": figures,
        "charts": _charts(figures),
        "until": last,
        "num_unknown": sum(not each.is_known for each in figures),
    }


def _asked(name: str, known: tuple[str, ...] | list[str]) -> str:
    """Return a parameter of the address, by default the first of its values."""
    value = request.args.get(name, known[0])
    if value not in known:
        raise InvalidRequestError(f"{name} must be one of {', '.join(known)}.", param=name)
    return value


def _floor(moment: datetime, step: timedelta) -> datetime:
    seconds = int(moment.timestamp())
    return datetime.fromtimestamp(seconds - seconds % int(step.total_seconds()), UTC)


def _charts(figures: list[Figures]) -> list[Chart]:
    waits, tokens = [each.wait for each in figures], [each.first_token for each in figures]
    return [
        draw_chart(
            "queue", "Queue depth", "queued", [("queued", "area", [f.queued for f in figures])]
        ),
        draw_chart("wait", "Wait in the queue", "s", _percentiles(waits)),
        draw_chart("first-token", "Time to first token", "s", _percentiles(tokens)),
        draw_chart(
            "tokens", "Tokens per second", "tokens/s",
            [("output", "area", [f.tokens_per_s for f in figures])],
        ),
        draw_chart(
            "failures", "Failures", "failed", [("failed", "bars", [f.failed for f in figures])]
        ),
    ]  # fmt: skip


def _percentiles(
    pairs: list[tuple[float, float] | None],
) -> list[tuple[str, str, list[float | None]]]:
    return [
        ("p50", "first", [None if pair is None else pair[0] for pair in pairs]),
        ("p95", "second", [None if pair is None else pair[1] for pair in pairs]),
    ]
