"""POST /v1/responses/compact: the served model summarises a conversation; the summary is sealed."""

from typing import Any

import orjson
from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from api.routes.item_pages import IMAGE_URL, shown_item
from api.services import Services, project_id, services
from api.streaming.foreground import wait_for_end
from api.validation.context import Context
from api.validation.create_request import create_response, prepare
from models.chat.prompt import Prompt
from models.encryption.compaction import ASK, compaction_item
from models.errors import AppError, InvalidRequestError
from models.ids import new_item_id, response_wire_id
from models.responses.status import CONTINUABLE
from models.schemas.compaction import CompactRequest, CompactResource
from models.schemas.request.create_response import CreateResponse

LONGEST_SUMMARY = 1024
SHORTEST_SUMMARY = 128
"""Tokens; between the two, a summary may be a quarter of what it is made from."""
VERBATIM_PART = 4
"""What the users said is kept word for word up to one part in four of the context."""

blueprint = APIBlueprint(
    "compact", __name__, url_prefix="/v1/responses", abp_tags=[Tag(name="Responses")]
)


class SummaryFailedError(AppError):
    """The conversation could not be summarised; try again."""


@blueprint.post("/compact", responses={200: CompactResource})
def compact_conversation(body: CompactRequest) -> Response:
    """Summarise a conversation into an item that stands for it."""
    compacted = compact(services(), project_id(), body)
    return Response(compacted.model_dump_json(), mimetype="application/json")


def compact(at: Services, project_id: str, body: CompactRequest) -> CompactResource:
    """Generate the summary and seal it; raises an `AppError` for what cannot be compacted."""
    at = at.for_model(body.model)
    items = _conversation(at, project_id, body)
    request = CreateResponse(
        model=body.model,
        input=ASK,
        instructions=body.instructions,
        prompt_cache_key=body.prompt_cache_key,
        service_tier=body.service_tier,
        max_output_tokens=_summary_length(at, items),
        truncation="auto",
        store=False,
    )
    context = Context(items=items, is_remembered=True)
    stored = create_response(at, project_id, request, context)
    response = orjson.loads(wait_for_end(at, stored))
    if response["status"] not in CONTINUABLE:
        raise SummaryFailedError
    compaction = compaction_item(at.cipher, project_id, stored.id, _text(response["output"]))
    return CompactResource(
        id=response_wire_id(stored.id),
        created_at=response["created_at"],
        output=[compaction, *_said_by_users(at, items)],
        usage=response["usage"],
    )


def _conversation(at: Services, project_id: str, body: CompactRequest) -> list[dict[str, Any]]:
    """All that is to be compacted, in order."""
    if not body.input and body.previous_response_id is None:
        message = "There is nothing to compact: give input or previous_response_id."
        raise InvalidRequestError(message, param="input", code="missing_required_parameter")
    request = CreateResponse(
        model=body.model, input=ASK, previous_response_id=body.previous_response_id
    )
    request.input = body.input or []
    prepared = prepare(at, project_id, request)
    return prepared.context.items + prepared.items


def _summary_length(at: Services, items: list[dict[str, Any]]) -> int:
    length = _num_tokens(at, items) // 4
    return max(SHORTEST_SUMMARY, min(length, LONGEST_SUMMARY, at.encoder.context_length // 4))


def _said_by_users(at: Services, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The users' messages, the newest of them as far as there is room."""
    room = at.encoder.context_length // VERBATIM_PART
    kept: list[dict[str, Any]] = []
    for item in reversed(items):
        if item.get("role") == "user":
            room -= _num_tokens(at, [item])
            if room < 0:
                break
            kept.append(shown_item({"id": new_item_id("message"), **item}, (IMAGE_URL,)))
    return kept[::-1]


def _num_tokens(at: Services, items: list[dict[str, Any]]) -> int:
    return len(at.encoder.encode_media(Prompt(instructions=None, items=items)))


def _text(output: list[dict[str, Any]]) -> str:
    parts = (part for item in output for part in item.get("content", ()))
    return "".join(part["text"] for part in parts if part["type"] == "output_text")
