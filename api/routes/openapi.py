"""The OpenAPI 3.1 document: what the routes say of themselves, and what they cannot.

Streams, the events in them, the items of an output and the one body of all errors are added here,
from the same types that write them.
"""

import copy
import json
import re
from typing import Any

from flask_openapi3.openapi import OpenAPI
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from models.schemas.compaction import CompactResource
from models.schemas.events import Event
from models.schemas.output import OutputItem
from models.schemas.pages import ResponsePage

_REF = "#/components/schemas/"
_NULLABLE_STRING = {"type": ["string", "null"]}
_ERROR_KEYS = ("message", "type", "param", "code")
_ERROR_BODY = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": list(_ERROR_KEYS),
            "properties": {
                key: {"type": "string"} if key in ("message", "type") else _NULLABLE_STRING
                for key in _ERROR_KEYS
            },
        }
    },
}


class _AsWritten(GenerateJsonSchema):
    """A field is always there unless it is left out when it is null."""

    def field_is_required(self, field: Any, total: bool) -> bool:
        return field.get("serialization_exclude_if") is None


_FRAME = {
    "description": "One event; the data of the last frame is `[DONE]`.",
    "anyOf": [
        {
            "type": "object",
            "required": ["event", "data"],
            "properties": {
                "event": {"type": "string"},
                "data": {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "contentSchema": {"$ref": _REF + "StreamEvent"},
                },
            },
        },
        {
            "type": "object",
            "required": ["data"],
            "properties": {"event": {"const": "message"}, "data": {"const": "[DONE]"}},
        },
    ],
}
_ANSWERS: dict[str, TypeAdapter[Any]] = {
    "StreamEvent": TypeAdapter(Event),
    "OutputItem": TypeAdapter(OutputItem),
    "CompactResource": TypeAdapter(CompactResource),
    "ResponsePage": TypeAdapter(ResponsePage),
}
"""What is answered, described as it is written: with all that is always there."""
_BODIES = ("CreateResponse", "CompactRequest", "CreateConversation", "CreateItems")
_STREAMED = (("/v1/responses", "post"), ("/v1/responses/{response_id}", "get"))


def make_document(app: OpenAPI) -> dict[str, Any]:
    """The whole document of an app whose routes are all registered."""
    document: dict[str, Any] = copy.deepcopy(app.api_doc)
    schemas = document["components"]["schemas"]
    document["components"] = {"schemas": schemas}
    schemas["ErrorBody"] = _ERROR_BODY
    asked = _reachable(schemas, [f"{_REF}{name}" for name in schemas if name in _BODIES])
    for name, adapter in _ANSWERS.items():
        schema = adapter.json_schema(
            ref_template=_REF + "{model}", mode="serialization", schema_generator=_AsWritten
        )
        answered = schema.pop("$defs") | {name: schema}
        # What stands in requests too is described as it is read: with less that must be there.
        schemas |= {name: each for name, each in answered.items() if name not in asked}
    schemas["ResponseResource"]["properties"]["output"]["items"] = {"$ref": _REF + "OutputItem"}
    for operations in document["paths"].values():
        for operation in operations.values():
            _complete(operation)
    for path, method in _STREAMED:
        content = document["paths"][path][method]["responses"]["200"]["content"]
        content["text/event-stream"] = {"schema": _FRAME}
    schemas.pop("ValidationErrorModel", None)
    return document


def _reachable(schemas: dict[str, Any], references: list[str]) -> set[str]:
    """The names of all schemas that those referred to are made of, their own included."""
    found: set[str] = set()
    while references:
        name = references.pop().removeprefix(_REF)
        if name not in found and name in schemas:
            found.add(name)
            references += re.findall(f'{_REF}[^"]+', json.dumps(schemas[name]))
    return found


def _complete(operation: dict[str, Any]) -> None:
    """Errors as they are answered, and how pairs of metadata stand in a query."""
    operation["responses"].pop("422", None)
    content = {"application/json": {"schema": {"$ref": _REF + "ErrorBody"}}}
    for status in ("4XX", "5XX"):
        operation["responses"][status] = {"description": "An error.", "content": content}
    for parameter in operation.get("parameters", ()):
        if parameter["name"] == "metadata":
            parameter |= {"style": "deepObject", "explode": True}
