"""/v1/responses: create, read, list, cancel, delete."""

import logging
from dataclasses import replace
from uuid import UUID

import redis
from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel

from api.routes.item_pages import item_page
from api.routes.queries import ItemsQuery, ListQuery, ResponsePath, RetrieveQuery
from api.services import Services, project_id, services
from api.streaming.foreground import (
    cancel,
    forget_unstored,
    request_cancel,
    wait_again,
    wait_foreground,
)
from api.streaming.sse import event_stream
from api.validation.create_request import create_response, num_input_tokens, prepare
from api.validation.idempotency import find_earlier, key_of_request
from models.encryption.reasoning import ENCRYPTED_CONTENT, encrypt_items
from models.errors import (
    InvalidRequestError,
    OverloadedError,
    ResponseNotFoundError,
    UnavailableError,
)
from models.ids import parse_response_id
from models.responses.record import ResponseRecord, to_resource
from models.responses.status import TERMINAL
from models.schemas.compaction import InputTokens
from models.schemas.pages import DeletedResponse, ItemPage, ResponsePage
from models.schemas.request.create_response import CreateResponse
from models.schemas.response import ResponseResource
from models.store.idempotency_keys import KeyTakenError
from models.store.responses import ListFilter

logger = logging.getLogger(__name__)

blueprint = APIBlueprint(
    "responses", __name__, url_prefix="/v1/responses", abp_tags=[Tag(name="Responses")]
)


@blueprint.post("", responses={200: ResponseResource})
def create(body: CreateResponse) -> Response:
    """Create a response: at once in the background, or as a stream, or when it has ended."""
    at, key = services(), key_of_request()
    if key and (earlier := find_earlier(at, project_id(), key)):
        return _repeat(body, earlier)
    try:
        stored = create_response(at, project_id(), body, key=key)
    except KeyTakenError:
        assert key is not None
        earlier = find_earlier(at, project_id(), key)
        if earlier is None:
            raise UnavailableError from None
        return _repeat(body, earlier)
    if body.background:
        return event_stream(at, stored, start=0) if body.stream else _object(stored)
    return _stream_foreground(at, stored) if body.stream else wait_foreground(at, stored)


@blueprint.post("/input_tokens", responses={200: InputTokens})
def count_input_tokens(body: CreateResponse) -> Response:
    """Count what a request would put before the model; it is not made."""
    at = services().for_model(body.model)
    prepared = prepare(at, project_id(), body)
    return _json(InputTokens(input_tokens=num_input_tokens(at, project_id(), prepared)))


@blueprint.get("", responses={200: ResponsePage})
def list_responses(query: ListQuery) -> Response:
    """List stored responses, newest first."""
    chosen = ListFilter(
        status=query.status,
        model=query.model,
        metadata=query.metadata,
        after=_cursor(query.after, "after"),
        before=_cursor(query.before, "before"),
        ascending=query.order == "asc",
        limit=query.limit + 1,
    )
    found = services().store.responses.list_responses(project_id(), chosen)
    more = len(found) > query.limit
    # Read towards the beginning, the one too many is the first.
    kept = found[-query.limit :] if chosen.is_backward else found[: query.limit]
    page = [to_resource(stored) for stored in kept]
    first, last = (page[0].id, page[-1].id) if page else (None, None)
    return _json(ResponsePage(data=page, first_id=first, last_id=last, has_more=more))


@blueprint.get("/<string:response_id>", responses={200: ResponseResource})
def retrieve(path: ResponsePath, query: RetrieveQuery) -> Response:
    """Read a response, or replay and follow its events after `starting_after`."""
    stored = _find(path.response_id)
    if query.stream:
        start = 0 if query.starting_after is None else query.starting_after + 1
        is_padded = query.include_obfuscation
        return event_stream(services(), stored, start=start, is_padded=is_padded)
    if query.starting_after is not None:
        message = "starting_after needs stream to be true."
        raise InvalidRequestError(message, param="starting_after")
    if ENCRYPTED_CONTENT in query.include:
        output = encrypt_items(services().cipher, stored.project_id, stored.output)
        stored = replace(stored, output=output)
    return _object(stored)


@blueprint.post("/<string:response_id>/cancel", responses={200: ResponseResource})
def cancel_response(path: ResponsePath) -> Response:
    """Cancel a background response; one that has ended stays as it is."""
    stored = _find(path.response_id)
    if not stored.background:
        message = "Cannot cancel a synchronous response; close its connection instead."
        raise InvalidRequestError(message, param="response_id")
    if stored.status not in TERMINAL:
        cancel(services(), stored)
        stored = _find(path.response_id)
    return _object(stored)


@blueprint.delete("/<string:response_id>", responses={200: DeletedResponse})
def delete(path: ResponsePath) -> Response:
    """Delete a response, its items and its events; stop it if it runs."""
    at = services()
    stored = _find(path.response_id)
    if stored.status not in TERMINAL:
        request_cancel(at, stored)
    if at.store.responses.delete(stored.project_id, stored.id) is None:
        raise ResponseNotFoundError(path.response_id)
    try:
        at.log.forget([stored.id])
    except redis.RedisError as error:
        # It is gone from the store; retention removes what Redis has of it.
        logger.warning("log not deleted", extra={"error": str(error)})
    at.log.nudge(stored.id)  # who reads it now finds it gone
    return _json(DeletedResponse(id=path.response_id))


@blueprint.get("/<string:response_id>/input_items", responses={200: ItemPage})
def list_input_items(path: ResponsePath, query: ItemsQuery) -> Response:
    """List the input items of a response, last first."""
    stored = _find(path.response_id)
    items = services().store.items.of_input(stored.project_id, stored.id)
    return _json(item_page(items, query))


def _cursor(wire_id: str | None, param: str) -> UUID | None:
    if wire_id is None:
        return None
    response_id = parse_response_id(wire_id)
    if response_id is None:
        raise InvalidRequestError(f"{param} must be the id of a response.", param=param)
    return response_id


def _repeat(body: CreateResponse, earlier: ResponseRecord) -> Response:
    """What the first request with this key was answered, or would be; it alone can be abandoned."""
    if body.stream:
        return event_stream(services(), earlier, start=0)
    if body.background or earlier.status in TERMINAL:
        return _object(earlier)
    return wait_again(services(), earlier)


def _find(wire_id: str) -> ResponseRecord:
    response_id = parse_response_id(wire_id)
    stored = services().store.responses.get(project_id(), response_id) if response_id else None
    if stored is None:
        raise ResponseNotFoundError(wire_id)
    return stored


def _object(stored: ResponseRecord) -> Response:
    return _json(to_resource(stored))


def _stream_foreground(at: Services, stored: ResponseRecord) -> Response:
    """The events as they come; what is not stored is gone once it was delivered."""
    try:
        response = event_stream(at, stored, start=0, on_gone=lambda: request_cancel(at, stored))
    except OverloadedError:
        request_cancel(at, stored)
        raise
    response.call_on_close(lambda: forget_unstored(at, stored))
    return response


def _json(answer: BaseModel) -> Response:
    return Response(answer.model_dump_json(), mimetype="application/json")
