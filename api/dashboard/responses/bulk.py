"""Cancelling or deleting all responses that pass a filter, after a page that counts them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from flask import redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from api.access.auditing import audit_object
from api.access.sessions import PATH
from api.dashboard.blueprint import blueprint
from api.dashboard.pages import render
from api.dashboard.responses.filters import Filters
from api.services import project_id, services
from api.streaming import cancel
from models.errors import InvalidRequestError, NotFoundError
from models.responses.record import ResponseRecord
from models.responses.status import TERMINAL, ResponseStatus
from models.store.listing import ListFilter

MAX_AT_ONCE = 500
"""Responses that one request cancels or deletes."""
_ACTIVE = tuple(status for status in ResponseStatus if status not in TERMINAL)
_TIME = re.compile(r"[0-9]{9,10}(\.[0-9]{1,6})?")
_VERBS = {"cancel": "Cancel", "delete": "Delete"}


@blueprint.get(f"{PATH}/bulk/<string:action>")
def confirm_bulk(action: str) -> str:
    """Count what an action would concern, and ask for a confirmation."""
    filters, until = Filters.of(request.args), datetime.now(UTC)
    found = _find(action, filters, until, MAX_AT_ONCE + 1)
    return render(
        "bulk.html",
        action=action,
        verb=_VERBS[action],
        filters=filters,
        num_found=len(found),
        max_at_once=MAX_AT_ONCE,
        until=until.timestamp(),
    )


@blueprint.post(f"{PATH}/bulk/<string:action>")
def run_bulk(action: str) -> BaseResponse:
    """Cancel or delete the responses that were counted: none that came after that."""
    filters = Filters.of(request.form)
    found = _find(action, filters, _until(), MAX_AT_ONCE)
    act = _ACTIONS[action]
    for record in found:
        act(record)
    audit_object(f"{action} {len(found)} responses")
    return redirect(f"{url_for('dashboard.list_responses')}?{filters.query()}", code=303)


def _cancel(record: ResponseRecord) -> None:
    if record.background:
        cancel.request_cancel(services(), record)


def _delete(record: ResponseRecord) -> None:
    cancel.delete_response(services(), record)


_ACTIONS: Mapping[str, Callable[[ResponseRecord], None]] = {"cancel": _cancel, "delete": _delete}


def _find(action: str, filters: Filters, until: datetime, limit: int) -> list[ResponseRecord]:
    """Return the newest responses that an action concerns, without their output."""
    if action not in _ACTIONS:
        raise NotFoundError
    list_filter = replace(filters.to_list_filter(limit=limit), created_before=until)
    if action == "cancel":
        list_filter = _active(list_filter)
    if not list_filter.statuses and action == "cancel":
        return []
    return services().store.lists.read_page(project_id(), list_filter, has_output=False)


def _active(list_filter: ListFilter) -> ListFilter:
    asked = list_filter.statuses or _ACTIVE
    return replace(list_filter, statuses=tuple(status for status in asked if status in _ACTIVE))


def _until() -> datetime:
    text = request.form.get("until", "")
    if not _TIME.fullmatch(text):
        raise InvalidRequestError("The time of the count is missing.", param="until")
    return datetime.fromtimestamp(float(text), UTC)
