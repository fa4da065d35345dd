"""Page about one response, with its events as they come."""

from dataclasses import dataclass
from itertools import islice

from flask import Response, request

from api.dashboard.blueprint import ONE, blueprint
from api.dashboard.items import ItemView, view_item
from api.dashboard.pages import render
from api.dashboard.responses.lookup import find, input_items
from api.services import services
from api.streaming.sse import stream_events
from api.streaming.temporary import find_response, find_row, load_items
from models.errors import ContentGoneError, InvalidRequestError
from models.forecast.forecast import QueuePlace
from models.ids import conversation_wire_id
from models.responses.record import ResponseRecord, to_resource
from models.responses.status import TERMINAL
from models.schemas.response import ResponseResource
from models.store.dashboard.progress import Progress

_MAX_ITEMS = 100
"""Items of the input, and of the output, that a page shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """One response as its page shows it."""

    record: ResponseRecord
    resource: ResponseResource
    progress: Progress | None
    place: QueuePlace | None
    """Its place in the queue, while it is queued."""

    @property
    def id(self) -> str:
        """Id of the response."""
        return self.resource.id

    @property
    def is_active(self) -> bool:
        """True if it has not ended."""
        return self.record.status not in TERMINAL

    @property
    def conversation_id(self) -> str | None:
        """Id of the conversation that it continues."""
        found = self.record.conversation_id
        return None if found is None else conversation_wire_id(found)

    @property
    def tokens_per_second(self) -> float | None:
        """Output tokens for each second between its first claim and its end."""
        running_s = self.progress.running_s if self.progress else None
        usage = self.resource.usage
        return usage.output_tokens / running_s if usage and running_s else None

    @property
    def output(self) -> list[ItemView]:
        """Output items, up to a limit."""
        return [view_item(item) for item in islice(self.record.output, _MAX_ITEMS)]


@blueprint.get(ONE)
def show_response(response_id: str) -> str:
    """Show a response: what went in, what came out, and how it went."""
    record = find(find_response, response_id)
    detail = _make_detail(record)
    items, is_cut = _read_input(record)
    return render("response.html", detail=detail, input=items, is_cut=is_cut)


@blueprint.get(f"{ONE}/summary")
def poll_response(response_id: str) -> str:
    """Return the part of the page that changes while the response runs."""
    return render("response_summary.html", detail=_make_detail(find(find_row, response_id)))


@blueprint.get(f"{ONE}/json")
def show_json(response_id: str) -> Response:
    """Return the response as the API does."""
    resource = to_resource(find(find_response, response_id))
    return Response(resource.model_dump_json(indent=2), mimetype="application/json")


@blueprint.get(f"{ONE}/events")
def stream(response_id: str) -> Response:
    """Stream the events of a response after `starting_after`, as the API does."""
    record = find(find_response, response_id)
    return stream_events(services(), record, start=_start(), is_padded=False)


def _make_detail(record: ResponseRecord) -> Detail:
    progress = services().store.progress.read(record.project_id, record.id)
    place = services().queue_places.find(record)
    return Detail(record=record, resource=to_resource(record), progress=progress, place=place)


def _read_input(record: ResponseRecord) -> tuple[list[ItemView], bool]:
    try:
        items, is_cut = input_items(record, load_items, _MAX_ITEMS)
    except ContentGoneError:
        return [], False
    return [view_item(item) for item in items], is_cut


def _start() -> int:
    after = request.args.get("starting_after", "")
    if not after:
        return 0
    if not after.isascii() or not after.isdigit() or len(after) > 9:
        message = "starting_after must be the number of an event."
        raise InvalidRequestError(message, param="starting_after")
    return int(after) + 1
