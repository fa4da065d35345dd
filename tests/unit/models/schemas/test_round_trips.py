"""Items and tools go back in as clients dump them, and mean the same to the model.

The types are those of the schemas: one that is added is tested without a change here.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import BaseModel as OfficialModel
from openai._models import construct_type
from openai.lib._parsing._responses import parse_response
from openai.types.responses import Response, ResponseItemList
from openresponses_types import types as spec
from pydantic import BaseModel

from api.routes.item_pages import IMAGE_URL, to_listed_item
from models.responses.record import to_resource
from models.schemas.items import GivenCompaction, InputItem, ItemReference
from models.schemas.output import OutputItem
from models.schemas.request.create_response import CreateResponse
from models.schemas.request.tools import Tool
from tests.engine_view import engine_view
from tests.factories import stored_response
from tests.item_strategies import models_in, objects_of

USER = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]}
OUTPUT_MODELS: list[type[BaseModel]] = [*models_in(OutputItem), GivenCompaction]
_SPECIFIED = {"message", "function_call", "function_call_output", "reasoning", "compaction"}
"""Types of output items that the specification has; its types read no others."""
_OPTIONS: tuple[dict[str, Any], ...] = ({}, {"exclude_none": True}, {"exclude_unset": True})

Dump = dict[str, Any]


def type_of(model: type[BaseModel]) -> str:
    """Return the `type` of an item."""
    return str(get_args(model.model_fields["type"].annotation)[0])


def dumps_of(value: BaseModel) -> Iterator[Dump]:
    """Yield a value of the official client in every form in which it is dumped."""
    for by_alias in (True, False):
        for options in _OPTIONS:
            yield value.model_dump(by_alias=by_alias, warnings=False, **options)
            yield value.model_dump(mode="json", by_alias=by_alias, warnings=False, **options)
    assert isinstance(value, OfficialModel)
    yield value.to_dict(warnings=False)
    yield value.to_dict(mode="json", use_api_names=False, exclude_unset=False, warnings=False)
    yield json.loads(value.to_json(warnings=False))


def read_response(**changes: Any) -> Response:
    """Return a response with these output items or parameters, as the official client reads it."""
    data = to_resource(stored_response(**changes)).model_dump_json()
    response = construct_type(type_=Response, value=json.loads(data))
    assert isinstance(response, Response)
    return response


def given_objects(models: list[type[BaseModel]]) -> Callable[[Callable[[Dump], None]], Any]:
    """Run a test with objects of each type; those of output types are as the server sends them."""

    def decorate(test: Callable[[Dump], None]) -> Any:
        @pytest.mark.parametrize("model", models, ids=lambda model: model.__name__)
        @settings(max_examples=25, deadline=None)
        @given(data=st.data())
        def run(data: st.DataObject, model: type[BaseModel]) -> None:
            fields = data.draw(objects_of(model))
            is_output = model in models_in(OutputItem)
            test(model.model_validate(fields).model_dump(mode="json") if is_output else fields)

        run.__name__ = test.__name__
        return run

    return decorate


def means_the_same(items: list[Any], others: list[Any]) -> bool:
    return engine_view({"input": [USER, *items]}) == engine_view({"input": [USER, *others]})


@given_objects(OUTPUT_MODELS)
def test_output_goes_back_in_as_the_official_client_dumps_it(item: Dump) -> None:
    [read] = read_response(output=[item]).output

    for dump in dumps_of(read):
        assert means_the_same([dump], [item]), dump


@given_objects([model for model in OUTPUT_MODELS if type_of(model) in _SPECIFIED])
def test_output_goes_back_in_as_the_specifications_types_dump_it(item: Dump) -> None:
    item.pop("namespace", None)  # the specification has none
    data = to_resource(stored_response(output=[{"id": "it_1", **item}])).model_dump_json()
    [read] = spec.ResponseResource.model_validate_json(data).output

    for options in _OPTIONS:
        dump = json.loads(read.model_dump_json(by_alias=True, **options))
        assert means_the_same([dump], [item]), dump


@given_objects([model for model in models_in(InputItem) if model is not ItemReference])
def test_what_is_listed_goes_back_in_as_the_official_client_dumps_it(item: Dump) -> None:
    stored = CreateResponse.model_validate({"input": [item]}).input_items()
    data = [to_listed_item({"id": "it_1", **made}, (IMAGE_URL,)) for made in stored]
    page = {"object": "list", "data": data}
    listed = construct_type(type_=ResponseItemList, value=page)
    assert isinstance(listed, ResponseItemList)

    for dumps in zip(*map(dumps_of, listed.data), strict=True):
        assert means_the_same(list(dumps), [item]), dumps


@given_objects(models_in(Tool))
def test_tools_go_back_in_as_the_official_client_dumps_them(tool: Dump) -> None:
    parameters = CreateResponse.model_validate({"input": "a", "tools": [tool]}).parameters()
    [read] = read_response(parameters=parameters.model_dump(exclude_none=True)).tools

    for dump in dumps_of(read):
        assert engine_view({"tools": [dump]}) == engine_view({"tools": [tool]}), dump


class Answer(BaseModel):
    """A type that the parse helpers read."""

    a: int


def test_what_the_parse_helpers_add_goes_back_in() -> None:
    text = {"type": "output_text", "text": '{"a": 1}', "annotations": [], "logprobs": []}
    message: Dump = {"type": "message", "id": "m", "role": "assistant", "status": "completed"}
    message |= {"content": [text]}
    call = {"type": "function_call", "id": "f", "call_id": "c", "name": "f", "status": "completed"}
    call |= {"arguments": '{"a": 1}'}
    tool: Any = {"type": "function", "name": "f", "strict": True, "parameters": {}}
    response = read_response(output=[message, call])

    parsed = parse_response(text_format=Answer, input_tools=[tool], response=response)

    assert parsed.output_parsed == Answer(a=1)
    for dumps in zip(*map(dumps_of, parsed.output), strict=True):
        assert means_the_same(list(dumps), [message, call])
