"""Filters of lists are served at every length that their limits allow (D11)."""

from urllib.parse import quote
from urllib.request import urlopen

import orjson
import pytest
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI

from tests.integration.api.requests import create, error_of, parsed
from tests.integration.http_server import serving
from tests.polling import PATIENCE_S


@pytest.mark.parametrize("character", ["a", "漢", "\U0001f600", "%", "\x1f"])
def test_a_value_of_the_longest_kind_is_found(http: FlaskClient, character: str) -> None:
    made = create(http, metadata={"k": character * 512})
    create(http, metadata={"k": character * 511})

    answer = http.get(f"/v1/responses?metadata[k]={quote(character * 512)}")

    assert [response["id"] for response in parsed(answer)["data"]] == [made["id"]]


def test_a_longer_value_is_refused_by_its_name(http: FlaskClient) -> None:
    answer = http.get(f"/v1/responses?metadata[k]={quote('漢' * 513)}")

    assert answer.status_code == 400
    assert error_of(answer)["param"] == "metadata[k]"


@pytest.mark.parametrize("num_filters", [1, 4])
@pytest.mark.parametrize("character", ["a", "漢", "\U0001f600", "\x1f"])
def test_a_filter_of_the_longest_kind_passes_the_server(
    app: OpenAPI, http: FlaskClient, character: str, num_filters: int
) -> None:
    metadata = {f"{n}{character * 63}": character * 512 for n in range(num_filters)}
    made = create(http, metadata=metadata)
    filters = (f"metadata[{quote(key)}]={quote(value)}" for key, value in metadata.items())

    with (
        serving(app) as address,
        urlopen(f"http://{address}/v1/responses?{'&'.join(filters)}", timeout=PATIENCE_S) as answer,
    ):
        found = orjson.loads(answer.read())

    assert [response["id"] for response in found["data"]] == [made["id"]]
