"""/openapi.json and /docs: the reference, complete and available without internet access."""

import re
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI

from models.schemas.response import ResponseResource
from tests.integration.api.requests import parsed

_REFERENCE = re.compile(r"""(?:src|href|data-url|url)=["']([^"']*)["']""")


def references_of(page: str) -> list[str]:
    """Return the URLs that the page would load."""
    return _REFERENCE.findall(page)


def routes_of(app: OpenAPI) -> set[tuple[str, str]]:
    """Return every path below /v1 and /admin/v1 with each of its methods, in OpenAPI's notation."""
    return {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith(("/v1/", "/admin/v1/"))
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def refs_in(value: object) -> Iterator[str]:
    """Yield every `$ref` at any depth."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from refs_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from refs_in(inner)


def test_it_works(http: FlaskClient) -> None:
    answer = http.get("/docs")

    assert answer.status_code == 200
    assert answer.mimetype == "text/html"
    assert "/openapi.json" in references_of(answer.text)


def test_the_page_fetches_nothing_from_outside(http: FlaskClient) -> None:
    page = http.get("/docs").text

    assert len(references_of(page)) > 1
    assert all(re.match(r"/[^/]", reference) for reference in references_of(page))
    assert "//" not in page


def test_everything_that_the_page_fetches_is_served(http: FlaskClient) -> None:
    for reference in references_of(http.get("/docs").text):
        answer = http.get(reference)

        assert answer.status_code == 200, reference
        assert answer.data
        answer.close()


@pytest.mark.parametrize("name", ["js/../../../__init__.py", "%2e%2e/%2e%2e/__init__.py"])
def test_only_assets_are_served_as_assets(http: FlaskClient, name: str) -> None:
    assert http.get(f"/docs/assets/{name}").status_code == 404


def test_the_document_is_openapi_3_1(http: FlaskClient) -> None:
    answer = http.get("/openapi.json")

    assert answer.status_code == 200
    assert answer.mimetype == "application/json"
    assert re.fullmatch(r"3\.1\.\d+", parsed(answer)["openapi"])


def test_the_document_has_every_route(app: OpenAPI, http: FlaskClient) -> None:
    paths = parsed(http.get("/openapi.json"))["paths"]

    documented = {(path, method) for path, methods in paths.items() for method in methods}
    assert documented == routes_of(app)
    assert len(documented) >= 28


def test_every_reference_in_the_document_leads_somewhere(http: FlaskClient) -> None:
    document = parsed(http.get("/openapi.json"))

    references = set(refs_in(document))

    assert references
    for reference in references:
        found = document
        for name in reference.removeprefix("#/").split("/"):
            found = found[name]
        assert found


def test_the_document_has_every_field_of_a_response(http: FlaskClient) -> None:
    schemas = parsed(http.get("/openapi.json"))["components"]["schemas"]

    assert set(schemas["ResponseResource"]["properties"]) == set(ResponseResource.model_fields)
