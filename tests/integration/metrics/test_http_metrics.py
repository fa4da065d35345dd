"""Metrics of the API: answers by route, streams, and the pool of connections."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from flask_openapi3.openapi import OpenAPI

from api.services import Services
from api.serving.limits import ServingLimits
from models.metrics.table import (
    DB_POOL_WAIT,
    HTTP_REQUESTS,
    STREAM_CLIENTS,
    STREAM_DROPPED,
    STREAM_RESUMES,
)
from tests.integration.api.requests import create_and_wait
from tests.integration.conftest import MakeWorker
from tests.integration.http_server import serving
from tests.integration.in_process import InProcessWorker
from tests.integration.metrics.moving import Readings, moves
from tests.polling import PATIENCE_S
from tests.security.raw_http import HOST, ask

_ENDLESS: dict[str, Any] = {"script_interval_ms": 2, "script_tokens": 100_000}
_STREAM = {"input": "Hello.", "stream": True}


@pytest.fixture
def address(app: OpenAPI) -> Iterator[str]:
    with serving(app, ServingLimits(sweep_s=0.05)) as served:
        yield served


@pytest.fixture
def impatient_address(app: OpenAPI) -> Iterator[str]:
    with serving(app, ServingLimits(stall_s=0.3, sweep_s=0.05)) as served:
        yield served


def connect(address: str) -> "closing[http.client.HTTPConnection]":
    return closing(http.client.HTTPConnection(address, timeout=PATIENCE_S))


def request(address: str, method: str, path: str, body: object = None) -> int:
    with connect(address) as connection:
        headers = {"Content-Type": "application/json"}
        connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        answer.read()  # a stream whose client leaves is counted as such
        return answer.status


@moves(HTTP_REQUESTS)
def test_answers_are_counted_by_the_pattern_of_their_route(
    address: str, readings: Readings
) -> None:
    assert request(address, "GET", "/livez") == 200
    assert request(address, "GET", "/v1/responses/resp_secret") == 404
    assert request(address, "GET", "/v1/secret") == 404
    assert request(address, "POST", "/v1/responses", {"input": 1}) == 400
    ask(address, b"SECRET / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    ask(address, b"nonsense\r\n\r\n")

    text = readings.text()

    for labels in (
        'code="200",method="GET",route="/livez"',
        'code="404",method="GET",route="/v1/responses/<string:response_id>"',
        'code="404",method="GET",route="none"',
        'code="400",method="POST",route="/v1/responses"',
        'code="400",method="other",route="none"',
    ):
        assert f"antiphon_http_requests_total{{{labels}}} 1.0\n" in text, text
    assert "secret" not in text.lower()


def test_an_error_of_an_answer_that_waits_is_counted_as_what_it_is(
    app: OpenAPI, address: str, readings: Readings
) -> None:
    services: Services = app.extensions["antiphon"]
    with ExitStack() as taken:
        for _ in range(services.settings.api_streams):
            taken.enter_context(services.places.reserve("another"))
        assert request(address, "POST", "/v1/responses", {"input": "Hello."}) == 503

    assert readings.value(HTTP_REQUESTS, code="503", route="/v1/responses") == 1
    assert readings.value(HTTP_REQUESTS, code="200", route="/v1/responses") == 0


@moves(STREAM_CLIENTS, STREAM_DROPPED)
def test_open_streams_are_counted_and_those_whose_client_leaves(
    address: str, make_worker: MakeWorker, readings: Readings
) -> None:
    make_worker(**_ENDLESS)
    assert readings.value(STREAM_CLIENTS) == 0

    with connect(address) as connection:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/v1/responses", json.dumps(_STREAM), headers)
        connection.getresponse().readline()
        readings.wait_for(lambda num: num == 1, STREAM_CLIENTS)

    readings.wait_for(lambda num: num == 1, STREAM_DROPPED, reason="left")
    readings.wait_for(lambda num: num == 0, STREAM_CLIENTS)


@moves(STREAM_DROPPED)
def test_a_stream_that_nobody_reads_is_dropped_as_slow(
    impatient_address: str, make_worker: MakeWorker, readings: Readings
) -> None:
    make_worker(**_ENDLESS)
    body = json.dumps(_STREAM | {"background": True}).encode()
    head = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)

    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", int(impatient_address.rpartition(":")[2])))
        connection.sendall(b"POST /v1/responses HTTP/1.1\r\n" + HOST + head + body)

        readings.wait_for(lambda num: num == 1, STREAM_DROPPED, reason="slow")


@moves(STREAM_RESUMES, STREAM_DROPPED)
def test_streams_that_are_resumed_are_counted_and_those_that_cannot_be(
    address: str, worker: InProcessWorker, readings: Readings
) -> None:
    response = create_and_wait(readings.http)
    path = f"/v1/responses/{response['id']}?stream=true"

    assert request(address, "GET", path) == 200
    assert readings.value(STREAM_RESUMES) == 0
    assert request(address, "GET", f"{path}&starting_after=1") == 200
    assert readings.value(STREAM_RESUMES) == 1
    assert request(address, "GET", f"{path}&starting_after=9999") == 200
    assert readings.value(STREAM_RESUMES) == 2
    readings.wait_for(lambda num: num == 1, STREAM_DROPPED, reason="error")


@moves(DB_POOL_WAIT)
def test_every_statement_is_measured_until_it_has_its_connection(
    address: str, readings: Readings
) -> None:
    before = readings.value(DB_POOL_WAIT, "_count")

    assert request(address, "GET", "/v1/responses") == 200

    assert readings.value(DB_POOL_WAIT, "_count") > before
