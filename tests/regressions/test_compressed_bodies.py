"""Compressed bodies are served within the limit of other bodies, or refused by name (D11)."""

import gzip
import zlib
from collections.abc import Callable
from dataclasses import replace
from http.client import HTTPConnection

import orjson
import pytest
import zstandard
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI
from werkzeug.test import TestResponse

from api.http.body_budget import BodyBudget
from api.http.content_encoding import decompress
from api.http.protocol_errors import RequestTooLargeError
from api.http.strict_json import BODY_LEASE, MAX_BODY_BYTES
from api.services import Services
from models.errors import OverloadedError
from tests.integration.api.requests import error_of, parsed
from tests.integration.http_server import serving
from tests.polling import PATIENCE_S, eventually

BODY = orjson.dumps({"input": "Hello. " * 1000})


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_content_size=False).compress(data)


COMPRESS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress),
    ("x-gzip", gzip.compress),
    ("GZIP", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("zstd", zstandard.compress),
    ("zstd", zstd),
    ("identity", bytes),
]


def count(http: FlaskClient, data: bytes, coding: str, **environ: object) -> TestResponse:
    return http.post(
        "/v1/responses/input_tokens",
        data=data,
        content_type="application/json",
        headers={"Content-Encoding": coding},
        environ_base=environ,
    )


@pytest.mark.parametrize(("coding", "compress"), COMPRESS)
def test_compressed_bodies_are_served(
    http: FlaskClient, coding: str, compress: Callable[[bytes], bytes]
) -> None:
    whole = parsed(count(http, BODY, "identity"))
    answer = count(http, compress(BODY), coding)

    assert answer.status_code == 200, answer.text
    assert parsed(answer) == whole


def test_members_and_frames_are_joined(http: FlaskClient) -> None:
    half = len(BODY) // 2
    for coding, compress in (("gzip", gzip.compress), ("zstd", zstandard.compress)):
        data = compress(BODY[:half]) + compress(BODY[half:])

        assert count(http, data, coding).status_code == 200


@pytest.mark.parametrize("coding", ["br", "compress", "gzip, zstd", "aes128gcm", "x" * 5000])
def test_other_codings_are_refused_by_name(http: FlaskClient, coding: str) -> None:
    answer = count(http, BODY, coding)

    assert answer.status_code == 415
    error = error_of(answer)
    assert error["code"] == "unsupported_content_encoding"
    assert f"'{coding[:9]}" in error["message"]
    assert "gzip, deflate, zstd" in error["message"]


@pytest.mark.parametrize(("coding", "compress"), COMPRESS[:7])
def test_data_that_is_cut_off_or_wrong_is_refused(
    http: FlaskClient, coding: str, compress: Callable[[bytes], bytes]
) -> None:
    data = compress(BODY)
    for bad in (data[: len(data) // 2], b"", b"{}", b"\xff" * 100, data[1:]):
        answer = count(http, bad, coding)

        assert answer.status_code == 400, (bad, answer.text)
        assert error_of(answer)["code"] in ("invalid_content_encoding", "invalid_json")


@pytest.mark.parametrize(("coding", "compress"), [COMPRESS[0], *COMPRESS[3:7]])
def test_a_bomb_ends_at_the_limit(coding: str, compress: Callable[[bytes], bytes]) -> None:
    sizes: list[int] = []
    data = compress(bytes(4 * MAX_BODY_BYTES))
    assert len(data) < MAX_BODY_BYTES // 100

    with pytest.raises(RequestTooLargeError):
        decompress(data, coding.lower(), max_bytes=MAX_BODY_BYTES, grow=sizes.append)

    assert sum(sizes) <= MAX_BODY_BYTES
    assert max(sizes) <= 1 << 20


def test_the_size_in_memory_counts_and_not_that_of_the_message(http: FlaskClient) -> None:
    answer = count(http, gzip.compress(bytes(MAX_BODY_BYTES + 1)), "gzip")

    assert answer.status_code == 413
    assert error_of(answer)["code"] == "request_too_large"


class FullBudget:
    """Budget of bodies that has no bytes left."""

    def grow(self, num_bytes: int) -> None:
        raise OverloadedError


def test_decompressed_bytes_are_taken_of_the_budget_of_bodies(http: FlaskClient) -> None:
    answer = count(http, gzip.compress(BODY), "gzip", **{BODY_LEASE: FullBudget()})

    assert answer.status_code == 503
    assert answer.headers["Retry-After"]


@pytest.mark.parametrize(("coding", "compress"), [COMPRESS[0], *COMPRESS[3:7]])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_compressed_body_draws_on_the_budget_of_the_server(
    app: OpenAPI, coding: str, compress: Callable[[bytes], bytes], is_chunked: bool
) -> None:
    data = compress(orjson.dumps({"input": "a" * (8 << 20)}))
    assert len(data) < 1 << 20
    services: Services = app.extensions["antiphon"]
    app.extensions["antiphon"] = replace(services, body_budget=BodyBudget(4 << 20))

    with serving(app) as address:
        connection = HTTPConnection(address, timeout=PATIENCE_S)
        connection.request(
            "POST",
            "/v1/responses/input_tokens",
            [data] if is_chunked else data,
            {"Content-Type": "application/json", "Content-Encoding": coding},
        )
        answer = connection.getresponse()
        error = orjson.loads(answer.read())["error"]
        connection.close()

    assert (answer.status, error["code"]) == (429, "too_many_body_bytes")
    eventually(lambda: app.extensions["antiphon"].body_budget.num_bytes == 0)
