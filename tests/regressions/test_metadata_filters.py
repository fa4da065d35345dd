"""Filters of lists are served at every length that their limits allow (D11)."""

from urllib.parse import quote

import pytest
from flask.testing import FlaskClient

from tests.integration.api.requests import create, error_of, parsed


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
