"""Traces: what is in the spans of a response, in-process; of all processes: tests/acceptance."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI

from models.settings import Settings, SettingsError
from models.tracing.tracer import TRACER, check_packages
from tests.collector import CollectedSpan, Collector
from tests.integration.api.requests import cancel, create, create_and_wait, wait_for_text
from tests.integration.conftest import MakeWorker, RunSql
from tests.integration.desk import Desk
from tests.integration.http_server import serving
from tests.integration.in_process import InProcessWorker
from tests.polling import eventually
from tests.security.raw_http import HOST, ask, connected
from worker.maintenance.maintenance import Maintenance

_ROOT = Path(__file__).parents[3]
_TRACE, _PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
_HEADERS = {"traceparent": f"00-{_TRACE}-{_PARENT}-01"}
_ENDLESS: dict[str, Any] = {"script_interval_ms": 5, "script_tokens": 100_000}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as started:
        yield started


@pytest.fixture
def content() -> bool:
    return False


@pytest.fixture
def traced(settings: Settings, collector: Collector, content: bool) -> Iterator[None]:
    """Trace what happens in this process."""
    changes = {"otlp_endpoint": collector.url, "trace_content": content}
    TRACER.turn_on(settings.model_copy(update=changes), "test")
    yield
    TRACER.turn_off()


def create_traced(http: FlaskClient, **body: Any) -> dict[str, Any]:
    http.environ_base["HTTP_TRACEPARENT"] = _HEADERS["traceparent"]
    return create(http, **body)


def span_of(collector: Collector, name: str, number: int = 1) -> CollectedSpan:
    """Wait for so many spans of a name, and return the last."""

    def look() -> list[CollectedSpan] | None:
        found = [span for span in collector.spans if span.name == name]
        return found if len(found) >= number else None

    return eventually(look)[-1]


@pytest.mark.usefixtures("traced", "worker")
def test_it_works(http: FlaskClient, collector: Collector) -> None:
    response = create_traced(http, input="A secret.", max_output_tokens=5, n=2)

    span = span_of(collector, "chat scripted")

    assert span.trace_id == _TRACE
    expected = {
        "gen_ai.response.id": response["id"],
        "gen_ai.request.max_tokens": 5,
        "gen_ai.request.choice.count": 2,
        "gen_ai.response.finish_reasons": ["length"],
        "antiphon.status": "incomplete",
    }
    assert expected.items() <= span.attributes.items()
    assert "secret" not in str(collector.spans)
    assert span_of(collector, "decode").attributes == {"antiphon.num_tokens": 10}


@pytest.mark.usefixtures("traced", "worker")
@pytest.mark.parametrize("content", [True])
def test_content_is_in_spans_if_it_is_asked_for(http: FlaskClient, collector: Collector) -> None:
    create_traced(http, input="A secret.", instructions="Keep it.")

    attributes = span_of(collector, "chat scripted").attributes

    [given] = json.loads(attributes["gen_ai.input.messages"])
    assert given == {"role": "user", "parts": [{"type": "text", "content": "A secret."}]}
    [instructions] = json.loads(attributes["gen_ai.system_instructions"])
    assert instructions == {"type": "text", "content": "Keep it."}
    [written] = json.loads(attributes["gen_ai.output.messages"])
    assert written["role"] == "assistant"
    assert written["parts"][0]["content"].startswith("This answer is scripted")


@pytest.mark.usefixtures("traced")
def test_each_attempt_has_a_span_in_the_same_trace(
    http: FlaskClient,
    desk: Desk,
    sql: RunSql,
    maintenance: Maintenance,
    make_worker: MakeWorker,
    collector: Collector,
) -> None:
    create_traced(http)
    desk.claim()
    desk.lapse_leases()
    maintenance.reclaim()

    make_worker().run_queued()

    span = span_of(collector, "chat scripted")
    assert (span.trace_id, span.attributes["antiphon.attempt"]) == (_TRACE, 2)
    # The wait before the first attempt is not that of the second.
    assert "queue" not in [each.name for each in collector.spans]


@pytest.mark.usefixtures("traced", "worker")
def test_a_failure_is_an_error_in_the_trace(
    http: FlaskClient, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("A fault.")

    monkeypatch.setattr("worker.generation.runner.encode_prompt", fail)
    create_traced(http)

    span = span_of(collector, "chat scripted")

    assert span.is_error
    assert span.attributes["error.type"] == "server_error"
    assert span.attributes["antiphon.status"] == "failed"


@pytest.mark.usefixtures("traced")
def test_the_end_of_a_response_without_a_worker_is_traced(
    http: FlaskClient, collector: Collector
) -> None:
    cancel(http, create_traced(http)["id"])

    span = span_of(collector, "finish")

    assert (span.trace_id, span.attributes) == (_TRACE, {"antiphon.status": "cancelled"})


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(
    ("line", "name", "status"),
    [
        (b"GET /v1/responses/resp_none", "GET /v1/responses/<string:response_id>", 404),
        (b"GET /v1/responses", "GET /v1/responses", 200),
    ],
)
def test_a_request_begins_a_trace_unless_its_client_has(
    app: OpenAPI, collector: Collector, line: bytes, name: str, status: int
) -> None:
    with serving(app) as address:
        ask(address, line + b" HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        ask(address, b"GET /livez HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")

    span = span_of(collector, name)

    assert span.parent_id == ""
    assert span.attributes["http.response.status_code"] == status
    assert [each.name for each in collector.spans] == [name]


@pytest.mark.usefixtures("traced")
def test_a_client_that_leaves_ends_the_span_of_its_stream(
    app: OpenAPI, http: FlaskClient, make_worker: MakeWorker, collector: Collector
) -> None:
    make_worker(**_ENDLESS)
    response = create_traced(http)
    wait_for_text(http, response["id"])
    collector.spans.clear()

    with serving(app) as address:
        path = f"/v1/responses/{response['id']}?stream=true".encode()
        head = b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n"
        _read_a_little(address, head)
        span = span_of(collector, "GET /v1/responses/<string:response_id>")

    assert span.attributes["http.response.status_code"] == 200


def _read_a_little(address: str, head: bytes) -> None:
    with connected(address) as connection:
        connection.sendall(head)
        assert connection.recv(100)


@pytest.mark.usefixtures("worker")
def test_nothing_is_traced_unless_it_is_asked_for(
    http: FlaskClient, sql: RunSql, worker: InProcessWorker
) -> None:
    http.environ_base["HTTP_TRACEPARENT"] = _HEADERS["traceparent"]
    create_and_wait(http)

    assert sql("SELECT traceparent FROM responses") == [(None,)]


def test_the_library_is_imported_only_if_it_is_asked_for() -> None:
    code = "import cli.main, api.app, worker.main, worker.maintenance.maintenance, sys;"
    code += "assert not [m for m in sys.modules if m.startswith('opentelemetry.exporter')];"
    code += "assert 'models.tracing.otel' not in sys.modules"

    subprocess.run([sys.executable, "-c", code], cwd=_ROOT, check=True)


def test_a_collector_without_the_packages_is_refused_at_the_start(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    traced = settings.model_copy(update={"otlp_endpoint": "http://127.0.0.1:1"})
    check_packages(traced)
    monkeypatch.setattr("models.tracing.tracer.find_spec", lambda _: None)

    check_packages(settings)
    with pytest.raises(SettingsError, match=r"pip install '\.\[otel\]'"):
        check_packages(traced)
