"""Alerts, dashboard and runbooks name metrics, labels and sections that exist."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from models.metrics.exposition import render
from models.metrics.metric import Kind
from models.metrics.recorder import MetricRecorder
from models.metrics.table import METRICS
from models.metrics.totals import Snapshot

_ROOT = Path(__file__).parents[3]
_PROMETHEUS = _ROOT / "deploy/prometheus"
_RULES: Any = yaml.safe_load((_PROMETHEUS / "alerts.yml").read_text())
_ALERTS: list[dict[str, Any]] = _RULES["groups"][0]["rules"]
_DASHBOARD: Any = json.loads((_ROOT / "deploy/grafana/dashboards/antiphon.json").read_text())
_PROMTOOL = shutil.which("promtool")
_NAME = re.compile(r"\b(antiphon_\w+)\b(?:\{([^}]*)\})?")
_BY = re.compile(r"\b(?:by|on|without) \(([^)]*)\)")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")


def _samples() -> dict[str, set[str]]:
    """Return the labels of every series that a metric has."""
    found: dict[str, set[str]] = {}
    for metric in METRICS:
        labels = set(metric.labels)
        if metric.kind is Kind.HISTOGRAM:
            found |= {f"{metric.name}_{part}": labels for part in ("sum", "count")}
            found[f"{metric.name}_bucket"] = labels | {"le"}
        else:
            found[metric.name] = labels
    return found


def _expressions() -> Iterator[tuple[str, str]]:
    for alert in _ALERTS:
        yield alert["alert"], alert["expr"]
    for panel in _DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def test_expressions_name_metrics_and_labels_that_exist() -> None:
    samples, used = _samples(), set()
    for title, expression in _expressions():
        allowed: set[str] = {"job"}
        for name, matchers in _NAME.findall(expression):
            assert name in samples, (title, name)
            used.add(name)
            allowed |= samples[name]
            assert set(_LABEL.findall(matchers)) <= samples[name], (title, matchers)
        for labels in _BY.findall(expression):
            assert set(re.findall(r"\w+", labels)) <= allowed, (title, labels)

    # The dashboard shows every metric.
    bases = {name.removesuffix("_bucket").removesuffix("_count") for name in used}
    assert bases == {metric.name for metric in METRICS}


def test_legends_and_summaries_name_labels_that_the_expression_leaves() -> None:
    pairs = [
        (target["expr"], target["legendFormat"])
        for panel in _DASHBOARD["panels"]
        for target in panel.get("targets", ())
    ]
    pairs += [(alert["expr"], alert["annotations"]["summary"]) for alert in _ALERTS]
    samples = _samples()
    for expression, text in pairs:
        named = set(re.findall(r"\{\{ ?(?:\$labels\.)?(\w+) ?\}\}", text))
        left = {name for series, _ in _NAME.findall(expression) for name in samples[series]}
        if grouped := _BY.findall(expression):
            left &= {name for labels in grouped for name in re.findall(r"\w+", labels)}
        assert named <= left, (expression, text)


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    page = (_ROOT / "docs/runbooks.md").read_text()
    sections = re.split(r"^## ", page, flags=re.MULTILINE)[1:]

    assert [section.partition("\n")[0] for section in sections] == _sorted_like(sections)
    for section in sections:
        assert all(f"**{word}.**" in section for word in ("Means", "Look", "Do")), section[:40]
    for alert in _ALERTS:
        anchor = f"docs/runbooks.md#{alert['alert'].lower()}"
        assert alert["annotations"].keys() == {"summary", "runbook_url"}
        assert alert["annotations"]["runbook_url"] == anchor
        assert alert["labels"]["severity"] in ("critical", "warning")
    assert {alert["alert"] for alert in _ALERTS} == {s.partition("\n")[0] for s in sections}


def _sorted_like(sections: list[str]) -> list[str]:
    """Return the names of the sections in the order of the alerts."""
    order = [alert["alert"] for alert in _ALERTS]
    return sorted((section.partition("\n")[0] for section in sections), key=order.index)


def test_panels_do_not_overlap_and_have_ids_of_their_own() -> None:
    panels = _DASHBOARD["panels"]
    taken = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in panels
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]

    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)


@pytest.mark.skipif(_PROMTOOL is None, reason="promtool is not installed")
class TestPromtool:
    """What Prometheus itself says, where it is installed."""

    def test_it_finds_no_fault_in_the_rules_and_the_configuration(self, tmp_path: Path) -> None:
        config = (_PROMETHEUS / "prometheus.yml").read_text()
        (tmp_path / "key").touch()
        (tmp_path / "prometheus.yml").write_text(config.replace("/tmp/key", "key"))
        shutil.copy(_PROMETHEUS / "alerts.yml", tmp_path)

        _promtool(tmp_path, "check", "config", "prometheus.yml")

    def test_alerts_fire_when_they_should(self, tmp_path: Path) -> None:
        shutil.copy(_PROMETHEUS / "alerts.yml", tmp_path)
        shutil.copy(Path(__file__).with_name("alert_cases.yml"), tmp_path)

        _promtool(tmp_path, "test", "rules", "alert_cases.yml")

    def test_it_finds_no_fault_in_the_metrics(self, tmp_path: Path) -> None:
        recorder = MetricRecorder()
        for metric in METRICS:
            values = ["a value"] * len(metric.labels)
            if metric.kind is Kind.COUNTER:
                recorder.count(metric, *values)
            elif metric.kind is Kind.HISTOGRAM:
                recorder.observe(metric, 0.1, *values)
        text, _ = render(Snapshot(recorder.take()))

        _promtool(tmp_path, "check", "metrics", given=text)


def _promtool(folder: Path, *arguments: str, given: bytes = b"") -> None:
    assert _PROMTOOL is not None
    done = subprocess.run(
        [_PROMTOOL, *arguments], cwd=folder, input=given, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
