"""Hypothesis strategies of items and tools, made from their schemas."""

from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import MaxLen
from hypothesis import strategies as st
from pydantic import BaseModel, StringConstraints
from pydantic.fields import FieldInfo

from models.encryption.compaction import compaction_item, encrypt_compaction
from models.encryption.reasoning import encrypt_reasoning
from models.ids import new_id
from models.schemas.items import GivenCompaction, GivenReasoning
from models.schemas.output import Compaction, Reasoning
from models.schemas.parts import InputAudio, InputFile, InputVideo, TokenLogprob, UrlCitation
from models.schemas.tools.mcp_items import ListedTool
from tests.engine_view import CIPHER, PROJECT

_NEVER_STORED = (InputAudio, InputFile, InputVideo)
"""Parts that no model takes: a request with one is refused."""

Strategy = st.SearchStrategy[Any]

_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
_ID = st.from_regex(r"[a-z]{2}_[0-9a-f]{4}", fullmatch=True)
_NAME = st.from_regex(r"[a-zA-Z0-9_-]{1,8}", fullmatch=True)
_SCALARS: dict[Any, Strategy] = {
    str: _TEXT,
    bool: st.booleans(),
    int: st.integers(0, 100),
    float: st.floats(-10, 0),
    Any: _TEXT,
}
_REASONING = st.just(encrypt_reasoning(CIPHER, PROJECT, "r"))
_KEPT = {"type": "message", "role": "user", "content": "k"}
_ENCRYPTED: dict[type[BaseModel], Strategy] = {
    Reasoning: _REASONING,
    GivenReasoning: _REASONING,
    Compaction: st.just(encrypt_compaction(CIPHER, PROJECT, "s", [_KEPT])),
    GivenCompaction: st.just(compaction_item(CIPHER, PROJECT, new_id(), "s")["encrypted_content"]),
}
_LOGPROB = TokenLogprob(token="a", logprob=-1.0, bytes=[97], top_logprobs=[])
_CITATION = UrlCitation(start_index=0, end_index=1, url="https://a.example/", title="A")
_BY_NAME: dict[str, Strategy] = {
    "id": _ID,
    "call_id": _ID,
    "tool_call_id": _ID,
    "approval_request_id": _ID,
    "name": _NAME,
    "namespace": _NAME,
    "definition": st.just("start: /a/"),
    "arguments": st.sampled_from(["{}", '{"a": [1, null]}', '{"a"', ""]),
    "action": st.just({"type": "search", "query": "q", "sources": []}),
    "annotations": st.lists(st.just(_CITATION.model_dump()), max_size=1),
    "logprobs": st.lists(st.just(_LOGPROB.model_dump()), max_size=1),
    "parameters": st.just({"type": "object", "properties": {"a": {"type": "string"}}}),
    "output_schema": st.just({"type": "string"}),
}
"""Values of fields whose types do not say what the server produces."""


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the models that a type mentions, in order."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in models_in(inner)]


def objects_of(model: type[BaseModel]) -> Strategy:
    """Return a strategy of JSON objects of a type, whose optional fields may be absent."""
    required: dict[str, Strategy] = {}
    optional: dict[str, Strategy] = {}
    for name, field in model.model_fields.items():
        is_required = field.is_required() or name in ("type", "call_id")
        (required if is_required else optional)[field.alias or name] = _field(model, name, field)
    return st.fixed_dictionaries(required, optional=optional)


def _field(model: type[BaseModel], name: str, field: FieldInfo) -> Strategy:
    if name == "encrypted_content":
        return _ENCRYPTED[model]
    if name == "annotations" and model is ListedTool:
        return st.just({"readOnlyHint": True})
    if name in _BY_NAME and not models_in(field.annotation):
        return _BY_NAME[name]
    return _values(field.annotation, tuple(field.metadata))


def _values(annotation: Any, metadata: tuple[Any, ...] = ()) -> Strategy:
    """Return a strategy of the JSON values of a type, null excepted."""
    arguments = get_args(annotation)
    match get_origin(annotation):
        case origin if origin is Annotated:
            return _values(arguments[0], tuple(arguments[1:]))
        case origin if origin is Literal:
            return st.sampled_from(arguments)
        case origin if origin in (Union, UnionType):
            branches = [inner for inner in arguments if inner not in (type(None), *_NEVER_STORED)]
            return st.one_of([_values(inner, metadata) for inner in branches])
        case origin if origin is list:
            max_size = min([2, *(part.max_length for part in metadata if isinstance(part, MaxLen))])
            entries = _values(arguments[0])
            min_size = min(1, max_size)
            return st.lists(entries, min_size=min_size, max_size=max_size, unique_by=_name_or_self)
        case origin if origin is dict:
            return st.dictionaries(_NAME, _values(arguments[1]), max_size=2)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return objects_of(annotation)
    constraints = [part for part in metadata if isinstance(part, StringConstraints)]
    if patterns := [part.pattern for part in constraints if part.pattern]:
        return st.from_regex(str(patterns[0]), fullmatch=True)
    if any(part.min_length for part in constraints):
        return _NAME
    return _SCALARS[annotation]


def _name_or_self(value: Any) -> object:
    """Return what tells an entry of a list apart: the name of a tool, which no other has."""
    name = value.get("name") if isinstance(value, dict) else None
    return name if name is not None else repr(value)
