"""/v1/responses: create, read, list, cancel, delete."""

import logging
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

import orjson
from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel

from api.access.current import current_caller
from api.queueing.answers import add_headers, to_notes
from api.routes.item_pages import LoadedItems, read_page, to_given_item
from api.routes.queries import ItemsQuery, ListQuery, ResponsePath, RetrieveQuery
from api.services import project_id, services
from api.streaming.cancel import cancel, clean_up, delete_response
from api.streaming.event_names import read_naming
from api.streaming.foreground import wait_foreground
from api.streaming.sse import stream_events
from api.streaming.temporary import find_response, find_row, load_items
from api.validation.create_request import create_response, num_input_tokens, prepare
from api.validation.idempotency import FindResponse, create_once
from api.validation.tools import search_warning
from models.access.scopes import Scope
from models.encryption.reasoning import ENCRYPTED_CONTENT, encrypt_items
from models.errors import InvalidRequestError, ResponseNotFoundError
from models.ids import RESPONSE_PREFIX, parse_response_id
from models.responses.record import ResponseRecord, to_request, to_resource
from models.responses.status import TERMINAL
from models.schemas.compaction import InputTokens
from models.schemas.pages import DeletedResponse, ItemPage, ResponsePage, StoredRequest
from models.schemas.request.create_response import MAX_ITEMS, CreateResponse
from models.schemas.response import ResponseResource
from models.store.item_pages import PageQuery
from models.store.listing import ListFilter

logger = logging.getLogger(__name__)

blueprint = APIBlueprint(
    "responses", __name__, url_prefix="/v1/responses", abp_tags=[Tag(name="Responses")]
)


@blueprint.post("", responses={200: ResponseResource})
def create(body: CreateResponse) -> Response:
    """Create a response; return it at once (background), as a stream, or when it has ended."""
    answer = _create(body)
    permissions = current_caller().project.permissions
    if (warning := search_warning(services(), permissions, body)) is not None:
        answer.headers["Antiphon-Warning"] = warning
    return answer


def _create(body: CreateResponse) -> Response:
    app_services = services()
    read_naming(app_services.settings.reasoning_events)  # before anything is stored
    if (param := body.warm_up_param) is not None:
        message = "Only on a WebSocket can a prompt be computed without an answer."
        raise InvalidRequestError(message, param=param, code="unsupported_parameter")
    record, is_new = create_once(
        app_services,
        project_id(),
        lambda key: create_response(app_services, current_caller(), body, key=key),
        find_response,
    )
    if not is_new:
        return _repeat(body, record)
    if body.background:
        return stream_events(app_services, record, start=0) if body.stream else _accept(record)
    end = partial(clean_up, app_services, record)
    if body.stream:
        return stream_events(app_services, record, start=0, clean_up=end)
    return wait_foreground(app_services, record, end)


@blueprint.post("/input_tokens", responses={200: InputTokens})
def count_input_tokens(body: CreateResponse) -> Response:
    """Count the input tokens of a request without running it."""
    app_services = services().for_model(body.model, current_caller().project)
    prepared = prepare(app_services, current_caller(), body)
    return _json(InputTokens(input_tokens=num_input_tokens(app_services, project_id(), prepared)))


@blueprint.get("", responses={200: ResponsePage})
def list_responses(query: ListQuery) -> Response:
    """List stored responses, newest first."""
    filters = ListFilter(
        statuses=tuple(query.status),
        model=query.model,
        metadata=query.metadata,
        created_since=_moment(query.since),
        created_before=_moment(query.until),
        id_prefix=(query.id_prefix or "").removeprefix(RESPONSE_PREFIX),
        after=_cursor(query.after, "after"),
        before=_cursor(query.before, "before"),
        ascending=query.order == "asc",
        limit=query.limit + 1,
    )
    found = services().store.lists.read_page(project_id(), filters)
    has_more = len(found) > query.limit
    # When reading backwards, the surplus record is the first.
    records = found[-query.limit :] if filters.is_backward else found[: query.limit]
    page = [to_resource(record) for record in records]
    first, last = (page[0].id, page[-1].id) if page else (None, None)
    return _json(ResponsePage(data=page, first_id=first, last_id=last, has_more=has_more))


@blueprint.get("/<string:response_id>", responses={200: ResponseResource})
def retrieve(path: ResponsePath, query: RetrieveQuery) -> Response:
    """Read a response, or stream its events after `starting_after`."""
    record = _find(path.response_id)
    if query.stream:
        start = 0 if query.starting_after is None else query.starting_after + 1
        is_padded = query.include_obfuscation
        return stream_events(services(), record, start=start, is_padded=is_padded)
    if query.starting_after is not None:
        message = "starting_after needs stream to be true."
        raise InvalidRequestError(message, param="starting_after")
    if ENCRYPTED_CONTENT in query.include:
        output = encrypt_items(services().cipher, record.project_id, record.output)
        record = replace(record, output=output)
    place = services().queue_places.find(record)
    resource = to_resource(record)
    if place is not None:
        resource = resource.model_copy(update={"antiphon": to_notes(place)})
    answer = _json(resource)
    add_headers(answer, place)
    return answer


@blueprint.post("/<string:response_id>/cancel", responses={200: ResponseResource})
def cancel_response(path: ResponsePath) -> Response:
    """Cancel a background response; one that has ended stays as it is."""
    record = _find_row(path.response_id)
    if not record.background:
        message = "Cannot cancel a synchronous response; close its connection instead."
        raise InvalidRequestError(message, param="response_id")
    current_caller().require(Scope.RESPONSES_READ)  # the answer is the response
    if record.status not in TERMINAL:
        cancel(services(), record)
    return _respond(_find(path.response_id))


@blueprint.delete("/<string:response_id>", responses={200: DeletedResponse})
def delete(path: ResponsePath) -> Response:
    """Delete a response, its items and its events; stop it if it runs."""
    if not delete_response(services(), _find_row(path.response_id)):
        raise ResponseNotFoundError(path.response_id)
    return _json(DeletedResponse(id=path.response_id))


@blueprint.get("/<string:response_id>/input_items", responses={200: ItemPage})
def list_input_items(path: ResponsePath, query: ItemsQuery) -> Response:
    """List the input items of a response, last first."""
    app_services, record = services(), _find_row(path.response_id)
    pages = (
        app_services.store.items.input_pages
        if record.store
        else LoadedItems(load_items(app_services, record))
    )
    return _json(read_page(pages, record.project_id, record.id, query))


def _moment(unix_s: int | None) -> datetime | None:
    return None if unix_s is None else datetime.fromtimestamp(unix_s, UTC)


@blueprint.get("/<string:response_id>/request", responses={200: StoredRequest})
def retrieve_request(path: ResponsePath) -> Response:
    """Return the body that asks for a stored response anew, also what its object does not show."""
    record = _find(path.response_id)
    if not record.store:
        message = "The request of a response that is not stored is not kept."
        raise InvalidRequestError(message, param="response_id")
    pages, query = services().store.items.input_pages, PageQuery(limit=MAX_ITEMS)
    page = pages.read(record.project_id, record.id, query)
    assert page is not None  # only with `after` may it be
    items = list(map(to_given_item, page.items))
    return Response(orjson.dumps(to_request(record, items)), mimetype="application/json")


def _cursor(wire_id: str | None, param: str) -> UUID | None:
    if wire_id is None:
        return None
    response_id = parse_response_id(wire_id)
    if response_id is None:
        raise InvalidRequestError(f"{param} must be the id of a response.", param=param)
    return response_id


def _repeat(body: CreateResponse, earlier: ResponseRecord) -> Response:
    """Answer a repeated request as the first one with its key was or will be answered.

    Only the connection of the first request cancels the response when it is closed.
    """
    if body.stream:
        return stream_events(services(), earlier, start=0)
    if body.background or earlier.status in TERMINAL:
        return _respond(earlier)
    return wait_foreground(services(), earlier, None)


def _find(wire_id: str) -> ResponseRecord:
    return _require(find_response, wire_id)


def _find_row(wire_id: str) -> ResponseRecord:
    """Return a response; if it is temporary, without its content."""
    return _require(find_row, wire_id)


def _require(find: FindResponse, wire_id: str) -> ResponseRecord:
    response_id = parse_response_id(wire_id)
    record = find(services(), project_id(), response_id) if response_id else None
    if record is None:
        raise ResponseNotFoundError(wire_id)
    return record


def _respond(record: ResponseRecord) -> Response:
    return _json(to_resource(record))


def _accept(record: ResponseRecord) -> Response:
    """Answer with a new response in the background; its place comes from memory alone."""
    app_services, answer = services(), _respond(record)
    places = app_services.queue_places
    places.add(record)
    if places.is_due(record):
        app_services.loop.run_later(places.refresh, record)
    add_headers(answer, places.peek(record))
    return answer


def _json(answer: BaseModel) -> Response:
    return Response(answer.model_dump_json(), mimetype="application/json")
