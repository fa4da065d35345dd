"""The trace of one streamed response, through the processes of a whole server."""

import json
import urllib.request
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.acceptance.server import AntiphonServer, make_in
from tests.collector import CollectedSpan, Collector
from tests.integration.receiver import ALLOWED, Receiver
from tests.polling import PATIENCE_S

_TRACE, _CLIENT_SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
_HEADERS = {"content-type": "application/json", "traceparent": f"00-{_TRACE}-{_CLIENT_SPAN}-01"}
_SECRET = "a secret question"
_OF_ATTEMPT = ["claim", "load", "prompt", "prefill", "decode", "finish"]
_SERVER, _CLIENT = 2, 3


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as started:
        yield started


@pytest.fixture
def traced(tmp_path: Path, collector: Collector) -> Iterator[AntiphonServer]:
    settings = {"engine": "scripted", "webhook_networks": ALLOWED, "api_processes": "1"}
    server = make_in(tmp_path / "data", None, settings)
    server.environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
    server.start()
    yield server
    assert server.stop() == 0


def _post(server: AntiphonServer, path: str, body: object) -> str:
    request = urllib.request.Request(
        f"{server.url}{path}", json.dumps(body).encode(), _HEADERS if "resp" in path else {}
    )
    request.add_header("content-type", "application/json")
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return str(answer.read().decode())


@pytest.mark.nightly
def test_one_trace_leads_from_the_client_to_the_engine_and_the_webhook(
    traced: AntiphonServer, collector: Collector
) -> None:
    with Receiver() as receiver:
        _post(traced, "/v1/webhook_endpoints", {"url": receiver.url, "name": "test"})
        body = {"input": _SECRET, "stream": True, "background": True, "temperature": 0.5}
        events = _post(traced, "/v1/responses", body)
        names = {"POST /v1/responses", "queue", "chat scripted", "webhook", *_OF_ATTEMPT}
        traced.wait_for(lambda: collector.of_trace(_TRACE).keys() >= names)

    spans = collector.of_trace(_TRACE)
    assert spans.keys() == names
    request, attempt = spans["POST /v1/responses"], spans["chat scripted"]
    assert (request.parent_id, request.kind) == (_CLIENT_SPAN, _SERVER)
    assert request.service == "antiphon-api"
    assert request.attributes["http.response.status_code"] == 200
    assert [spans[name].parent_id for name in ("queue", attempt.name, "webhook")] == [
        request.span_id
    ] * 3
    assert (attempt.service, spans["webhook"].service) == (
        "antiphon-worker",
        "antiphon-maintenance",
    )
    assert spans["webhook"].kind == _CLIENT
    parts = [spans[name] for name in _OF_ATTEMPT]
    assert {part.parent_id for part in parts} == {attempt.span_id}
    _check_order([spans["queue"], *parts])
    assert attempt.start_ns <= parts[0].start_ns
    assert parts[-1].end_ns <= attempt.end_ns
    # The answer is a stream, which ends after the response.
    assert request.start_ns <= spans["queue"].start_ns + 1_000_000
    assert request.end_ns >= spans["decode"].end_ns
    _check_attempt(attempt, events)
    _check_nothing_is_told(traced, list(spans.values()))


def _check_order(parts: list[CollectedSpan]) -> None:
    """Check that each began when the one before had ended."""
    for before, after in pairwise(parts):
        assert before.start_ns <= before.end_ns <= after.start_ns + 1000, (before.name, after.name)


def _check_attempt(attempt: CollectedSpan, events: str) -> None:
    completed = json.loads(events.split("event: response.completed\ndata: ")[1].split("\n")[0])
    response = completed["response"]
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "antiphon",
        "gen_ai.request.model": "scripted",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.response.id": response["id"],
        "gen_ai.response.model": "scripted",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": response["usage"]["input_tokens"],
        "gen_ai.usage.output_tokens": response["usage"]["output_tokens"],
        "antiphon.status": "completed",
        "antiphon.attempt": 1,
    }
    assert expected.items() <= attempt.attributes.items()


def _check_nothing_is_told(server: AntiphonServer, spans: list[CollectedSpan]) -> None:
    """Check that no span has content, and that the log names the trace."""
    told = json.dumps([span.attributes for span in spans])
    assert _SECRET not in told
    assert "scripted:" not in told
    lines = (server.data_dir / "log" / "worker-1.log").read_text().splitlines()
    [line] = [line for line in lines if '"response finished"' in line]
    assert json.loads(line)["trace_id"] == _TRACE
