"""Every field that the official client sends with a chat is known: acted on, or refused by name."""

from typing import Any, get_args, get_type_hints

import pytest
from openai.types import chat as sdk
from openai.types.chat.completion_create_params import CompletionCreateParamsBase

from models.schemas.chat import messages, tools
from models.schemas.chat.request import ChatCompletionRequest
from models.schemas.parts import PlainText, Refusal
from models.schemas.strict import WireModel
from models.schemas.tools.function import ChatFunction, ChatFunctionTool

_TYPES: list[tuple[Any, type[WireModel]]] = [
    (CompletionCreateParamsBase, ChatCompletionRequest),
    (sdk.ChatCompletionSystemMessageParam, messages.SystemMessage),
    (sdk.ChatCompletionDeveloperMessageParam, messages.SystemMessage),
    (sdk.ChatCompletionUserMessageParam, messages.UserMessage),
    (sdk.ChatCompletionAssistantMessageParam, messages.AssistantMessage),
    (sdk.ChatCompletionToolMessageParam, messages.ToolMessage),
    (sdk.ChatCompletionMessageFunctionToolCallParam, messages.ChatFunctionCall),
    (sdk.ChatCompletionMessageCustomToolCallParam, messages.ChatCustomCall),
    (sdk.ChatCompletionContentPartTextParam, PlainText),
    (sdk.ChatCompletionContentPartImageParam, messages.ImagePart),
    (sdk.ChatCompletionContentPartRefusalParam, Refusal),
    (sdk.ChatCompletionFunctionToolParam, ChatFunctionTool),
    (sdk.ChatCompletionCustomToolParam, tools.ChatCustomTool),
]
_OBJECTS: list[tuple[Any, str, type[WireModel]]] = [
    (sdk.ChatCompletionContentPartImageParam, "image_url", messages.ImageUrl),
    (sdk.ChatCompletionFunctionToolParam, "function", ChatFunction),
    (sdk.ChatCompletionCustomToolParam, "custom", tools.ChatCustom),
]
_ANSWERS: list[tuple[Any, type[WireModel]]] = [
    (sdk.ChatCompletionMessage, messages.AssistantMessage),
    (sdk.ChatCompletionMessageFunctionToolCall, messages.ChatFunctionCall),
    (sdk.ChatCompletionMessageCustomToolCall, messages.ChatCustomCall),
]


def known_fields(model: type[WireModel]) -> set[str]:
    return model.model_fields.keys() | model.unserved.keys()


@pytest.mark.parametrize(("official", "model"), _TYPES)
def test_every_field_of_a_request_is_known(official: Any, model: type[WireModel]) -> None:
    assert get_type_hints(official)
    assert get_type_hints(official).keys() - known_fields(model) == set()


@pytest.mark.parametrize(("official", "field", "model"), _OBJECTS)
def test_every_field_of_an_object_is_known(
    official: Any, field: str, model: type[WireModel]
) -> None:
    hint = get_type_hints(official)[field]
    nested = next(iter(get_args(hint)), hint)

    assert nested.__annotations__.keys() - known_fields(model) == set()


@pytest.mark.parametrize(("official", "model"), _ANSWERS)
def test_what_is_dumped_of_an_answer_is_taken_back(official: Any, model: type[WireModel]) -> None:
    assert official.model_fields.keys() - known_fields(model) == set()
