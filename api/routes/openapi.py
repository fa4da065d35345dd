"""OpenAPI 3.1 document: generated from the routes, with what they cannot declare added.

Streams, their events, the items of an output and the common error body are added here, from the
types that serialise them.
"""

import copy
import json
import re
from typing import Any

from flask_openapi3.openapi import OpenAPI
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from models.schemas.chat.chunk import ChatCompletionChunk, ChunkWithUsage
from models.schemas.chat.completion import ChatCompletion
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


class _SerializationSchema(GenerateJsonSchema):
    """JSON schema in which every field is required that is not left out when null."""

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
_CHUNK_FRAME = {
    "description": "One chunk, or an error; the data of the last frame is `[DONE]`.",
    "type": "object",
    "required": ["data"],
    "properties": {
        "event": {"const": "message"},
        "data": {
            "anyOf": [
                {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "contentSchema": {
                        "anyOf": [
                            {"$ref": _REF + name}
                            for name in ("ChatCompletionChunk", "ChunkWithUsage", "ErrorBody")
                        ]
                    },
                },
                {"const": "[DONE]"},
            ]
        },
    },
}
_RESPONSE_TYPES: dict[str, TypeAdapter[Any]] = {
    "StreamEvent": TypeAdapter(Event),
    "OutputItem": TypeAdapter(OutputItem),
    "ChatCompletion": TypeAdapter(ChatCompletion),
    "ChatCompletionChunk": TypeAdapter(ChatCompletionChunk),
    "ChunkWithUsage": TypeAdapter(ChunkWithUsage),
    "CompactResource": TypeAdapter(CompactResource),
    "ResponsePage": TypeAdapter(ResponsePage),
}
"""Types of response bodies, described as serialised: every field always present is required."""
_REQUEST_TYPES = (
    *("CreateResponse", "CompactRequest", "CreateConversation", "CreateItems"),
    "ChatCompletionRequest",
)
_STREAMED = (
    ("/v1/responses", "post", _FRAME),
    ("/v1/responses/{response_id}", "get", _FRAME),
    ("/v1/chat/completions", "post", _CHUNK_FRAME),
)


def make_document(app: OpenAPI) -> dict[str, Any]:
    """Generate the document of an app whose routes are all registered."""
    document: dict[str, Any] = copy.deepcopy(app.api_doc)
    schemas = document["components"]["schemas"]
    document["components"] = {"schemas": schemas}
    schemas["ErrorBody"] = _ERROR_BODY
    request_names = _find_reachable(
        schemas, [f"{_REF}{name}" for name in schemas if name in _REQUEST_TYPES]
    )
    for name, adapter in _RESPONSE_TYPES.items():
        schema = adapter.json_schema(
            ref_template=_REF + "{model}",
            mode="serialization",
            schema_generator=_SerializationSchema,
        )
        definitions = schema.pop("$defs") | {name: schema}
        # Schemas that requests use too are described as parsed, with fewer required fields.
        schemas |= {
            name: definition
            for name, definition in definitions.items()
            if name not in request_names
        }
    schemas["ResponseResource"]["properties"]["output"]["items"] = {"$ref": _REF + "OutputItem"}
    for operations in document["paths"].values():
        for operation in operations.values():
            _complete_operation(operation)
    for path, method, frame in _STREAMED:
        content = document["paths"][path][method]["responses"]["200"]["content"]
        content["text/event-stream"] = {"schema": frame}
    schemas.pop("ValidationErrorModel", None)
    return document


def _find_reachable(schemas: dict[str, Any], references: list[str]) -> set[str]:
    """Return the names of all schemas that `references` lead to, their own included."""
    found: set[str] = set()
    while references:
        name = references.pop().removeprefix(_REF)
        if name not in found and name in schemas:
            found.add(name)
            references += re.findall(f'{_REF}[^"]+', json.dumps(schemas[name]))
    return found


def _complete_operation(operation: dict[str, Any]) -> None:
    """Add the error responses and the encoding of `metadata` in queries to an operation."""
    operation["responses"].pop("422", None)
    content = {"application/json": {"schema": {"$ref": _REF + "ErrorBody"}}}
    for status in ("4XX", "5XX"):
        operation["responses"][status] = {"description": "An error.", "content": content}
    for parameter in operation.get("parameters", ()):
        if parameter["name"] == "metadata":
            parameter |= {"style": "deepObject", "explode": True}
