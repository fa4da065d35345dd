"""Our OpenAPI document against the specification's: everything it has, we have too.

`openresponses-2026-04-24.json` holds its schemas: names, required fields, limits; no prose. What is
named in `DIFFERENT` differs on purpose; everything else that drifts apart fails here.
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
"""What clients send: a field of the specification is a field of ours, and we require no more."""

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
"""What clients read: a field that the specification requires is always there in ours."""

DIFFERENT = {
    ("CreateResponseBody", "input"),  # we require it: there is nothing to answer without
    ("ReasoningItemParam", "summary"),
}


@pytest.fixture
def ours(http: FlaskClient) -> Schemas:
    """The schemas of our document."""
    schemas: Schemas = parsed(http.get("/openapi.json"))["components"]["schemas"]
    return schemas


def enums(value: object) -> Iterator[str]:
    """The strings that a schema allows by name, at any depth; not those behind references."""
    if isinstance(value, dict):
        yield from (each for each in value.get("enum", ()) if isinstance(each, str))
        if isinstance(value.get("const"), str):
            yield value["const"]
        for inner in value.values():
            yield from enums(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from enums(inner)


def resolved(schema: Schema, schemas: Schemas) -> list[Schema]:
    """A field's schema and all that it refers to in one step."""
    found = [schema]
    for branch in (schema, *schema.get("anyOf", ()), *schema.get("oneOf", ())):
        if "$ref" in branch:
            found.append(schemas[branch["$ref"].rpartition("/")[2]])
    return found


def names_in(schema: Schema, schemas: Schemas) -> set[str]:
    """Allowed strings of a field, where its type is a choice of strings."""
    simple = [each for each in resolved(schema, schemas) if "properties" not in each]
    return set(enums(simple))


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
    assert set(spec.get("required", ())) <= set(our.get("required", our["properties"]))


def test_every_event_has_what_is_promised(ours: Schemas) -> None:
    promised = {
        min(enums(schema["properties"]["type"])): schema
        for name, schema in SPECIFICATION.items()
        if name.endswith("StreamingEvent")
    }
    given = {
        min(enums(schema["properties"]["type"])): schema
        for schema in ours.values()
        if "sequence_number" in schema.get("properties", {})
        and set(enums(schema["properties"]["type"]))
    }

    # We refuse nothing in these words: no model of ours has a refusal of its own.
    unsent = {"response.refusal.delta", "response.refusal.done"}
    assert promised.keys() - given.keys() == unsent
    for kind in promised.keys() & given.keys():
        required = set(promised[kind]["required"])
        assert required <= set(given[kind]["properties"]), kind


def test_the_routes_of_the_specification_are_there(http: FlaskClient) -> None:
    paths = parsed(http.get("/openapi.json"))["paths"]

    assert "post" in paths["/v1/responses"]
    assert "post" in paths["/v1/responses/compact"]
