"""Conversion of a chat completion request to the request for a response."""

from dataclasses import dataclass

from pydantic import ValidationError

from api.chat.messages import to_items
from api.chat.param_names import ParamNames
from api.chat.tools import convert_choice, convert_tool
from api.http.validation_errors import to_invalid_request
from models.schemas.chat.request import ChatCompletionRequest
from models.schemas.request.create_response import CreateResponse
from models.schemas.request.parameters import SharedParameters

_SAME_NAME = (
    *SharedParameters.model_fields,
    *("model", "max_tokens", "max_completion_tokens", "response_format", "web_search_options"),
    *("store", "stream", "metadata"),
)
"""Fields that are handed on as they are."""


@dataclass(frozen=True, slots=True)
class ConvertedRequest:
    """Request for a response that answers a chat."""

    body: CreateResponse
    names: ParamNames


def convert_request(chat: ChatCompletionRequest) -> ConvertedRequest:
    """Convert a request; raise a 400 that names the field of the chat whose value is not valid."""
    items, sources = to_items(chat.messages)
    names = ParamNames(sources, [tool.type for tool in chat.tools])
    fields = {name: getattr(chat, name) for name in _SAME_NAME}
    fields |= {
        "input": items,
        "tools": [convert_tool(tool) for tool in chat.tools],
        "tool_choice": convert_choice(chat.tool_choice),
    }
    if chat.reasoning_effort is not None:
        fields["reasoning"] = {"effort": chat.reasoning_effort}
    if chat.verbosity is not None:
        fields["text"] = {"verbosity": chat.verbosity}
    try:
        return ConvertedRequest(CreateResponse.model_validate(fields), names)
    except ValidationError as error:
        raise names.translate(to_invalid_request(error, fields)) from None
