"""The table of fields and the schemas agree: every field has one treatment, and is treated so."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from api.http.validation_errors import to_invalid_request
from api.validation.media import check_media
from models.chat.scripted_encoder import ScriptedEncoder
from models.encryption.compaction import compaction_item
from models.errors import InvalidRequestError
from models.ids import new_id
from models.schemas.fields.items import ITEMS, PARTS
from models.schemas.fields.request import FORMAT, HINTS, REASONING, SAMPLING, TURN
from models.schemas.fields.tools import CHOICE, TOOLS
from models.schemas.fields.treatment import FieldNotes, Treatment
from models.schemas.items import CALL_OF_OUTPUT, InputItem
from models.schemas.parts import MEDIA_PARTS, MessagePart, ReasoningPart, ToolOutputPart
from models.schemas.request.create_response import CreateResponse
from models.schemas.request.tools import Tool
from models.schemas.request.unsupported import UNSERVED_TOOLS
from models.schemas.strict import WireModel
from tests.engine_view import CIPHER, PROJECT, engine_view
from tests.hosted_items import HOSTED

_REQUEST_NOTES = (TURN, SAMPLING, FORMAT, REASONING, CHOICE, HINTS)
REQUEST: FieldNotes = {path: note for notes in _REQUEST_NOTES for path, note in notes.items()}
_OWN_TABLES = {"input", "tools", "tool_choice.tools"}
"""Fields whose types have tables of their own."""


def models_in(annotation: Any) -> list[type[WireModel]]:
    """Return the models that an annotation mentions, in order."""
    if isinstance(annotation, type) and issubclass(annotation, WireModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in models_in(inner)]


def paths_of(model: type[WireModel], prefix: str = "") -> Iterator[str]:
    """Yield the paths of all fields of a model and of the objects in them."""
    yield from (prefix + name for name in model.unserved)
    for name, field in model.model_fields.items():
        path = prefix + (field.alias or name)
        yield path
        dots = "[]." if str(field.annotation).startswith("list[") else "."
        for inner in () if path in _OWN_TABLES else models_in(field.annotation):
            yield from paths_of(inner, path + dots)


def types_of(*unions: Any) -> dict[str, list[type[WireModel]]]:
    """Return the models of unions by the `type` that clients send."""
    by_type: dict[str, list[type[WireModel]]] = {}
    for model in {model: None for union in unions for model in models_in(union)}:
        name = literals_of(model.model_fields["type"].annotation)[0]
        by_type.setdefault(name, []).append(model)
    return by_type


def literals_of(annotation: Any) -> list[str]:
    """Return the strings among the values of a type, in order."""
    return [
        value
        for inner in get_args(annotation)
        for value in ([inner] if isinstance(inner, str) else literals_of(inner))
    ]


def unserved_by_path(by_type: dict[str, list[type[WireModel]]]) -> dict[str, Any]:
    """Return the fields that are not acted on, by path; what Python names `async_` is `async`."""
    return {
        f"{kind}.{name.rstrip('_')}": neutral
        for kind, models in by_type.items()
        for model in models
        for name, neutral in model.unserved.items()
    }


TYPES = {
    "tools": (types_of(Tool), TOOLS),
    "items": (types_of(InputItem), ITEMS),
    "parts": (types_of(MessagePart, ToolOutputPart, ReasoningPart), PARTS),
}
HINTS_OF_TYPES = {
    "function.output_schema",
    "web_search.search_content_types",
    "compaction.created_by",
    "input_text.prompt_cache_breakpoint",
    "input_image.prompt_cache_breakpoint",
    "input_file.prompt_cache_breakpoint",
}
"""Fields of types that are kept, and have no effect."""


def test_every_field_of_a_request_has_one_note() -> None:
    assert set(paths_of(CreateResponse)) == set(REQUEST)
    assert sum(map(len, _REQUEST_NOTES)) == len(REQUEST)


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_and_what_it_does_not_act_on_has_one_note(kind: str) -> None:
    by_type, notes = TYPES[kind]
    unserved = UNSERVED_TOOLS if kind == "tools" else frozenset[str]()
    kept = {path for path in HINTS_OF_TYPES if path.split(".")[0] in by_type}

    assert set(notes) == {*by_type, *unserved, *unserved_by_path(by_type), *kept}


def test_what_is_not_acted_on_is_not_called_honoured() -> None:
    unserved = {
        path: neutral
        for by_type, _ in TYPES.values()
        for path, neutral in unserved_by_path(by_type).items()
    } | dict(CreateResponse.unserved)
    notes = REQUEST | TOOLS | ITEMS | PARTS

    for path, neutral in unserved.items():
        expected = Treatment.NO_EFFECT if neutral is None else Treatment.REFUSED
        assert notes[path].treatment is expected, path
    assert {notes[name].treatment for name in UNSERVED_TOOLS} == {Treatment.REFUSED}


SCHEMA = {"type": "json_schema", "name": "a", "schema": {"type": "object"}}
TOOL = {"type": "function", "name": "f"}
CUSTOM = {"type": "custom", "name": "g"}
SEARCH = {"type": "web_search"}
USER = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": "x"}
CUSTOM_CALL = {"type": "custom_tool_call", "call_id": "c", "name": "g", "input": "a"}
CUSTOM_OUTPUT = {"type": "custom_tool_call_output", "call_id": "c", "output": "x"}
TOOL_SEARCH = {"type": "tool_search_call", "call_id": "c", "arguments": {}}
FOUND = {"type": "tool_search_output", "call_id": "c", "tools": [TOOL]}
_CALLED = {"server_label": "s", "name": "f", "arguments": "{}"}
ANSWER = "mcp_approval_response"
MCP_ITEMS: dict[str, dict[str, Any]] = {
    "mcp_list_tools": {"type": "mcp_list_tools", "server_label": "s", "tools": []},
    "mcp_call": {"type": "mcp_call", **_CALLED, "output": "x"},
    "mcp_approval_request": {"type": "mcp_approval_request", "id": "mcpr_1", **_CALLED},
    ANSWER: {"type": ANSWER, "approval_request_id": "mcpr_1", "approve": True},
}
BODIES: dict[str, dict[str, Any]] = {
    "text": {"text": {"format": SCHEMA}},
    "response_format": {"response_format": SCHEMA},
    "response_format.json_schema": {
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}
    },
    "web_search_options": {"web_search_options": {"user_location": {"city": "x"}}},
    "stream_options": {"stream": True, "stream_options": {}},
    "tool_choice": {"tools": [TOOL], "tool_choice": {**TOOL}},
    "tool_choice.function": {
        "tools": [TOOL],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
    },
}
"""Bodies to which a field is added, by the beginning of its path; the longest is taken."""
SAMPLES: dict[str, dict[str, Any]] = {
    "function": {"tools": [TOOL]},
    "custom": {"tools": [CUSTOM]},
    "web_search": {"tools": [SEARCH]},
    "message": {"input": [USER]},
    "function_call": {"input": [CALL, OUTPUT]},
    "function_call_output": {"input": [CALL, OUTPUT]},
    "custom_tool_call": {"input": [CUSTOM_CALL, CUSTOM_OUTPUT]},
    "custom_tool_call_output": {"input": [CUSTOM_CALL, CUSTOM_OUTPUT]},
    "tool_search_call": {"input": [TOOL_SEARCH, FOUND]},
    "tool_search_output": {"input": [TOOL_SEARCH, FOUND]},
    "additional_tools": {"input": [{"type": "additional_tools", "tools": [TOOL]}, USER]},
    "reasoning": {"input": [{"type": "reasoning", "summary": []}, USER]},
    "compaction": {"input": [compaction_item(CIPHER, PROJECT, new_id(), "s"), USER]},
    **{item["type"]: {"input": [item, USER]} for item in HOSTED},
    "mcp": {"tools": [{"type": "mcp", "server_label": "s"}]},
    **{name: {"input": [item, USER]} for name, item in MCP_ITEMS.items() if name != ANSWER},
    ANSWER: {"input": [MCP_ITEMS["mcp_approval_request"], MCP_ITEMS[ANSWER]]},
    "web_search_call": {
        "input": [{"type": "web_search_call", "action": {"type": "search", "query": "q"}}, USER]
    },
}
"""Bodies with an object of each type, whose first entry, or last output, takes the field."""
ASKED = {"asked": "for"}
EXAMPLES: dict[str, list[Any]] = {
    "background_options.continuation_id": ["c"],
    "stream_options.include_usage": [True, False],
    "text.format.name": ["b"],
    "text.format.description": ["b"],
    "text.format.strict": [True, False],
    "response_format.name": ["b"],
    "response_format.description": ["b"],
    "response_format.strict": [True, False],
    "response_format.json_schema.name": ["b"],
    "response_format.json_schema.description": ["b"],
    "response_format.json_schema.strict": [True, False],
    "prompt_cache_retention": ["in_memory", "24h"],
    "prompt_cache_options": [{}, {"mode": "explicit", "ttl": "30m"}],
    "prompt_cache_options.mode": ["implicit", "explicit"],
    "prompt_cache_options.ttl": ["30m", "12h"],
    "prompt_cache_options.comparison_response_id": ["resp_1"],
    "access_programs": [{}],
    "access_programs.cyber": ["standard", "daybreak_blue", "daybreak_red"],
    "image": [{}],
    "safety_identifier": ["s" * 128],
    "user": ["u"],
    "web_search_options.user_location.type": ["approximate"],
    "client_metadata": [{"a": "b"}],
    "web_search.search_content_types": [["text"], ["text", "image"]],
    "custom_tool_call.parsed_arguments": [{"a": 1}, "a"],
    "function.output_schema": [{"type": "string"}, {}],
    "function_call.parsed_arguments": [{"a": 1}, "a"],
    "compaction.created_by": ["a"],
}
"""Values of hints; of those that are not listed, an object and null."""
REFUSED: dict[str, tuple[list[Any], list[Any]]] = {
    "reasoning.mode": (["pro"], ["standard"]),
    "files": ([[{"id": "f"}]], [[]]),
    "image.context_compression": (["enabled"], ["auto", "disabled"]),
    "function.allowed_callers": ([["programmatic"]], [["direct"]]),
    "function.async": ([True, 0], [False]),
    "custom.allowed_callers": ([["programmatic"]], [["direct"]]),
    "custom.async": ([True, 0], [False]),
    "function_call.async": ([True], [False]),
    "function_call.caller": ([{"type": "program"}], [{"type": "direct"}]),
    "custom_tool_call.async": ([True], [False]),
    "custom_tool_call.caller": ([{"type": "program"}], [{"type": "direct"}]),
    "custom_tool_call_output.caller": ([{"type": "program"}], [{"type": "direct"}]),
    "function_call_output.caller": ([{"type": "program"}], [{"type": "direct"}]),
}
"""Values that are refused and values that change nothing; of those that are not listed, an object
and none besides null.
"""


_CHECKED_APART = {*UNSERVED_TOOLS, *MEDIA_PARTS}


def with_field(path: str, value: Any) -> dict[str, Any]:
    """Return a body in which the field at a path has a value."""
    kind, _, name = path.partition(".")
    if path in TOOLS | ITEMS and kind in SAMPLES:
        body = deepcopy(SAMPLES[kind])
        entries = body.get("tools") or body["input"]
        entries[-1 if kind in CALL_OF_OUTPUT else 0][name] = value
        return body
    if path in PARTS:
        text = {"refusal": "a"} if kind == "refusal" else {"text": "a"}
        part = {"type": kind, name: value, **({} if kind in MEDIA_PARTS else text)}
        role = "assistant" if kind == "output_text" else "user"
        return {"input": [{"role": role, "content": [part]}]}
    bases = [base for base in BODIES if path.startswith(f"{base}.")]
    body = deepcopy(BODIES[max(bases, key=len)]) if bases else {}
    *parents, last = path.split(".")
    inner = body
    for parent in parents:
        inner = inner.setdefault(parent, {})
    inner[last] = value
    return body


def paths_with(treatment: Treatment) -> list[str]:
    notes = REQUEST | TOOLS | ITEMS | PARTS
    return [path for path, note in notes.items() if note.treatment is treatment]


def without_field(path: str) -> dict[str, Any]:
    """Return the body of `with_field` without the field: its default, or another valid value."""
    is_required = path in FORMAT and path.endswith(".name")
    return with_field(path, "a" if is_required else None)


@pytest.mark.parametrize("path", paths_with(Treatment.NO_EFFECT))
def test_a_hint_changes_nothing_that_the_engine_is_asked_for(path: str) -> None:
    without = engine_view(without_field(path))

    for value in EXAMPLES.get(path, [{"mode": "explicit"}, None]):
        assert engine_view(with_field(path, value)) == without, value


@pytest.mark.parametrize("path", sorted(set(paths_with(Treatment.REFUSED)) - _CHECKED_APART))
def test_what_is_refused_is_refused_by_name(path: str) -> None:
    asked, neutral = REFUSED.get(path, ([ASKED], []))
    without = engine_view(without_field(path))

    for value in neutral:
        assert engine_view(with_field(path, value)) == without, value
    for value in asked:
        error = refusal_of(with_field(path, value))
        assert error.code == "unsupported_parameter", value
        name = str(error.param).split(".")
        assert name[-1] == path.split(".")[-1]
        assert path in (error.param, f"{path.split('.')[0]}.{name[-1]}")


def refusal_of(body: dict[str, Any]) -> InvalidRequestError:
    body = {"input": "a", **body}
    with pytest.raises(ValidationError) as raised:
        CreateResponse.model_validate(body)
    return to_invalid_request(raised.value, body)


@pytest.mark.parametrize("kind", sorted(UNSERVED_TOOLS))
def test_a_tool_that_is_not_served_is_refused_by_name(kind: str) -> None:
    error = refusal_of({"tools": [{"type": kind}]})

    assert (error.code, error.param) == ("unsupported_parameter", "tools[0].type")


@pytest.mark.parametrize("kind", sorted(set(MEDIA_PARTS) - {"input_image"}))
def test_a_part_that_no_model_takes_is_refused_by_name(kind: str) -> None:
    assert PARTS[kind].treatment is Treatment.REFUSED

    with pytest.raises(InvalidRequestError) as raised:
        check_media([{"content": [{"type": kind}]}], ScriptedEncoder(), frozenset(), lambda _: None)

    assert (raised.value.code, raised.value.param) == (
        "unsupported_parameter",
        "input[0].content[0].type",
    )
