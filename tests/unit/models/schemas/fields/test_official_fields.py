"""Every field that the official client and the specification know is in the table of fields."""

import inspect
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import pytest
from openai import OpenAI
from openai.types import responses as sdk
from openai.types.responses.response_create_params import ResponseCreateParamsBase
from openresponses_types import types as spec
from pydantic import BaseModel
from typing_extensions import is_typeddict

from models.schemas.compaction import CompactRequest
from models.schemas.strict import WireModel
from tests.unit.models.schemas.fields.test_fields import REQUEST, TYPES, literals_of

_CLIENT = OpenAI(api_key="x", base_url="http://localhost")
_OF_THE_CLIENT = {"extra_headers", "extra_query", "extra_body", "timeout"}
_OPTIONS = (
    *("access_programs", "background_options", "image", "prompt_cache_options", "reasoning"),
    *("stream_options", "text"),
)


def parameters_of(method: Any) -> set[str]:
    return set(inspect.signature(method).parameters) - _OF_THE_CLIENT


def typed_dicts_in(annotation: Any) -> list[Any]:
    if is_typeddict(annotation):
        return [annotation]
    return [found for inner in get_args(annotation) for found in typed_dicts_in(inner)]


def models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for inner in get_args(annotation) for found in models_in(inner)]


def test_every_parameter_of_the_official_client_is_in_the_table() -> None:
    assert parameters_of(_CLIENT.responses.create) - REQUEST.keys() == set()
    assert parameters_of(_CLIENT.responses.input_tokens.count) - REQUEST.keys() == set()
    assert parameters_of(_CLIENT.responses.compact) - CompactRequest.model_fields.keys() == set()


@pytest.mark.parametrize("name", _OPTIONS)
def test_every_field_of_an_option_is_in_the_table(name: str) -> None:
    [options] = typed_dicts_in(get_type_hints(ResponseCreateParamsBase)[name])

    assert {f"{name}.{field}" for field in options.__annotations__} - REQUEST.keys() == set()


def test_every_field_of_the_specification_is_in_the_table() -> None:
    assert spec.CreateResponseBody.model_fields.keys() - REQUEST.keys() == set()


def official_types() -> Iterator[tuple[str, str, type[BaseModel]]]:
    """Yield the client's types of tools, items and parts, each with its table and its `type`."""
    unions = {
        "tools": (sdk.Tool,),
        "items": (sdk.ResponseInputItem, sdk.ResponseOutputItem, sdk.ResponseItem),
        "parts": (sdk.ResponseInputContent, sdk.ResponseOutputText, sdk.ResponseOutputRefusal),
    }
    for table, members in unions.items():
        for model in {model: None for union in members for model in models_in(union)}:
            for name in literals_of(model.model_fields["type"].annotation)[:1]:
                yield table, name, model


@pytest.mark.parametrize(
    ("table", "name", "official"),
    [found for found in official_types() if found[1] in TYPES[found[0]][0]],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_every_field_of_a_type_is_known(table: str, name: str, official: type[BaseModel]) -> None:
    known = {field for model in TYPES[table][0][name] for field in fields_of(model)}

    assert {field.alias or key for key, field in official.model_fields.items()} - known == set()


def fields_of(model: type[WireModel]) -> set[str]:
    return {*model.unserved, *(field.alias or name for name, field in model.model_fields.items())}
