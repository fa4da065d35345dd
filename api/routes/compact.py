"""POST /v1/responses/compact: an encrypted summary of a conversation, by the served model."""

from functools import partial
from typing import Any

import orjson
from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from api.access.current import current_caller
from api.routes.item_pages import IMAGE_URL, to_listed_item
from api.services import Services, services
from api.streaming.cancel import clean_up
from api.streaming.foreground import wait_foreground
from api.validation.context import Context
from api.validation.create_request import create_response, prepare
from models.access.caller import Caller
from models.chat.compaction import WITHOUT_REASONING, summary_length
from models.chat.prompt import Prompt
from models.chat.prompt_tokenizer import PromptTooLongError
from models.encryption.compaction import SUMMARY_INSTRUCTION, compaction_item
from models.errors import AppError, InvalidRequestError
from models.ids import new_item_id, response_wire_id
from models.responses.record import ResponseRecord
from models.responses.status import CONTINUABLE
from models.schemas.compaction import CompactRequest, CompactResource
from models.schemas.request.create_response import CreateResponse

VERBATIM_DIVISOR = 4
"""User messages are kept verbatim up to the context length divided by this number."""

blueprint = APIBlueprint(
    "compact", __name__, url_prefix="/v1/responses", abp_tags=[Tag(name="Responses")]
)


class SummaryFailedError(AppError):
    """The conversation could not be summarised; try again."""


# The id that generated clients name their method by: the route was one of `responses` once.
@blueprint.post(
    "/compact",
    operation_id="responses_compact_conversation_compact_post",
    responses={200: CompactResource},
)
def compact_conversation(body: CompactRequest) -> Response:
    """Summarise a conversation into an item that replaces it."""
    caller = current_caller()
    return compact(services().for_model(body.model, caller.project), caller, body)


def compact(services: Services, caller: Caller, body: CompactRequest) -> Response:
    """Generate the summary; answer with it, encrypted, or with an error if it cannot be made."""
    items = _collect_items(services, caller, body)
    request = CreateResponse(
        model=body.model,
        input=SUMMARY_INSTRUCTION,
        instructions=body.instructions,
        prompt_cache_key=body.prompt_cache_key,
        service_tier=body.service_tier,
        max_output_tokens=_choose_summary_length(services, items),
        truncation="auto",
        reasoning=WITHOUT_REASONING,
        store=False,
    )
    context = Context(items=items, is_inline=True)
    record = create_response(services, caller, request, context)

    def convert(data: bytes) -> bytes:
        resource = _make_resource(services, record, items, orjson.loads(data))
        return resource.model_dump_json().encode()

    return wait_foreground(services, record, partial(clean_up, services, record), convert)


def _make_resource(
    services: Services,
    record: ResponseRecord,
    items: list[dict[str, Any]],
    response: dict[str, Any],
) -> CompactResource:
    if response["status"] not in CONTINUABLE:
        raise SummaryFailedError
    compaction = compaction_item(
        services.cipher, record.project_id, record.id, _join_text(response["output"])
    )
    return CompactResource(
        id=response_wire_id(record.id),
        created_at=response["created_at"],
        output=[compaction, *_select_user_messages(services, items)],
        usage=response["usage"],
    )


def _collect_items(
    services: Services, caller: Caller, body: CompactRequest
) -> list[dict[str, Any]]:
    """Return all items to compact, in order; raise a 400 if there are none."""
    if not body.input and body.previous_response_id is None:
        message = "There is nothing to compact: give input or previous_response_id."
        raise InvalidRequestError(message, param="input", code="missing_required_parameter")
    request = CreateResponse(
        model=body.model, input=SUMMARY_INSTRUCTION, previous_response_id=body.previous_response_id
    )
    request.input = body.input or []
    prepared = prepare(services, caller, request)
    return prepared.context.items + prepared.items


def _choose_summary_length(services: Services, items: list[dict[str, Any]]) -> int:
    return summary_length(_count_tokens(services, items), services.encoder.context_length)


def _select_user_messages(services: Services, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the newest user messages that fit into the limit, in order."""
    num_tokens_left = services.encoder.context_length // VERBATIM_DIVISOR
    messages: list[dict[str, Any]] = []
    for item in reversed(items):
        if item.get("role") == "user":
            num_tokens_left -= _count_tokens(services, [item])
            if num_tokens_left < 0:
                break
            messages.append(to_listed_item({"id": new_item_id("message"), **item}, (IMAGE_URL,)))
    return messages[::-1]


def _count_tokens(services: Services, items: list[dict[str, Any]]) -> int:
    """Return the length of items in tokens; an estimate if they are far too long for a prompt."""
    try:
        return len(services.encoder.encode_media(Prompt(instructions=None, items=items)))
    except PromptTooLongError as error:
        return error.num_tokens


def _join_text(output: list[dict[str, Any]]) -> str:
    parts = (part for item in output for part in item.get("content", ()))
    return "".join(part["text"] for part in parts if part["type"] == "output_text")
