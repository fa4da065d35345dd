"""Our OpenAPI document compared with the specification's: it must include all of the latter.

`openresponses-2026-04-24.json` holds the specification's schemas: names, required fields and
limits, without prose. Entries of `DIFFERENT` differ on purpose; any other difference fails here.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient

from tests.integration.api.requests import parsed

Schema = dict[str, Any]
Schemas = dict[str, Schema]

SPECIFICATION: Schemas = orjson.loads(
    Path(__file__).with_name("openresponses-2026-04-24.json").read_bytes()
)["components"]["schemas"]

REQUESTS = {
    "CreateResponseBody": "CreateResponse",
    "CompactResponseMethodPublicBody": "CompactRequest",
    "FunctionToolParam": "FunctionTool",
    "FunctionCallItemParam": "GivenCall",
    "FunctionCallOutputItemParam": "GivenCallOutput",
    "ReasoningItemParam": "GivenReasoning",
    "CompactionSummaryItemParam": "GivenCompaction",
    "ItemReferenceParam": "ItemReference",
    "UserMessageItemParam": "InputMessage",
    "SystemMessageItemParam": "InputMessage",
    "DeveloperMessageItemParam": "InputMessage",
    "AssistantMessageItemParam": "InputMessage",
    "InputTextContentParam": "InputText",
    "InputImageContentParamAutoParam": "InputImage",
    "InputFileContentParam": "InputFile",
    "OutputTextContentParam": "AssistantText",
    "RefusalContentParam": "Refusal",
    "ReasoningParam": "ReasoningOptions",
    "StreamOptionsParam": "StreamOptions",
    "TextParam": "TextConfig",
}
"""Schemas of requests: we have every field of the specification and require no others."""

ANSWERS = {
    "ResponseResource": "ResponseResource",
    "CompactResource": "CompactResource",
    "Usage": "Usage",
    "FunctionCall": "FunctionCall",
    "ReasoningBody": "Reasoning",
    "OutputTextContent": "OutputText",
    "UrlCitationBody": "UrlCitation",
    "LogProb": "TokenLogprob",
    "TopLogProb": "TopLogprob",
}
"""Schemas of responses: a field that the specification requires is required in ours."""

DIFFERENT = {
    ("CreateResponseBody", "input"),  # we require it: without it there is no request to respond to
    ("ReasoningItemParam", "summary"),
}


@pytest.fixture
def ours(http: FlaskClient) -> Schemas:
    """Return the schemas of our document."""
    schemas: Schemas = parsed(http.get("/openapi.json"))["components"]["schemas"]
    return schemas


def enum_values(value: object) -> Iterator[str]:
    """Yield the strings of a schema's enums at any depth, without following references."""
    if isinstance(value, dict):
        yield from (text for text in value.get("enum", ()) if isinstance(text, str))
        if isinstance(value.get("const"), str):
            yield value["const"]
        for inner in value.values():
            yield from enum_values(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from enum_values(inner)


def resolve(schema: Schema, schemas: Schemas) -> list[Schema]:
    """Return a field's schema and the schemas it refers to directly."""
    found = [schema]
    for branch in (schema, *schema.get("anyOf", ()), *schema.get("oneOf", ())):
        if "$ref" in branch:
            found.append(schemas[branch["$ref"].rpartition("/")[2]])
    return found


def names_in(schema: Schema, schemas: Schemas) -> set[str]:
    """Return the allowed strings of a field whose type is an enum."""
    simple = [candidate for candidate in resolve(schema, schemas) if "properties" not in candidate]
    return set(enum_values(simple))


@pytest.mark.parametrize(("theirs", "name"), REQUESTS.items())
def test_whatever_may_be_asked_there_may_be_asked_here(
    ours: Schemas, theirs: str, name: str
) -> None:
    spec, our = SPECIFICATION[theirs], ours[name]

    assert set(spec["properties"]) <= set(our["properties"])
    required = {field for field in our.get("required", ()) if (theirs, field) not in DIFFERENT}
    assert required <= set(spec.get("required", ()))
    for field, schema in spec["properties"].items():
        missing = names_in(schema, SPECIFICATION) - names_in(our["properties"][field], ours)
        assert not missing, field


@pytest.mark.parametrize(("theirs", "name"), ANSWERS.items())
def test_whatever_is_promised_there_is_given_here(ours: Schemas, theirs: str, name: str) -> None:
    spec, our = SPECIFICATION[theirs], ours[name]

    assert set(spec.get("required", ())) <= set(our["properties"])
    required: Any = our.get("required", our["properties"])
    assert set(spec.get("required", ())) <= set(required)


def test_every_event_has_what_is_promised(ours: Schemas) -> None:
    promised = {
        min(enum_values(schema["properties"]["type"])): schema
        for name, schema in SPECIFICATION.items()
        if name.endswith("StreamingEvent")
    }
    given = {
        min(enum_values(schema["properties"]["type"])): schema
        for schema in ours.values()
        if "sequence_number" in schema.get("properties", {})
        and set(enum_values(schema["properties"]["type"]))
    }

    # We have no refusal content: no model of ours produces any.
    unsent = {"response.refusal.delta", "response.refusal.done"}
    assert promised.keys() - given.keys() == unsent
    for kind in promised.keys() & given.keys():
        required = set(promised[kind]["required"])
        assert required <= set(given[kind]["properties"]), kind


def test_the_routes_of_the_specification_are_there(http: FlaskClient) -> None:
    paths = parsed(http.get("/openapi.json"))["paths"]

    assert "post" in paths["/v1/responses"]
    assert "post" in paths["/v1/responses/compact"]
