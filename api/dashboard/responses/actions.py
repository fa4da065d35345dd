"""What operators do with one response: cancel it, run its request again, delete it."""

from flask import redirect, url_for
from werkzeug.wrappers import Response as BaseResponse

from api.access.auditing import audit_object
from api.access.current import current_caller
from api.dashboard.blueprint import ONE, blueprint
from api.dashboard.responses.lookup import find, input_items
from api.dashboard.responses.requests import parse_request, request_of
from api.services import services
from api.streaming import cancel
from api.streaming.temporary import find_response, find_row, load_items
from api.validation.create_request import create_response
from models.access.scopes import Scope
from models.errors import InvalidRequestError, ResponseNotFoundError
from models.ids import response_wire_id
from models.responses.status import TERMINAL
from models.schemas.request.create_response import MAX_ITEMS


@blueprint.post(f"{ONE}/cancel")
def cancel_response(response_id: str) -> BaseResponse:
    """Ask for the end of a response in the background; the page shows when it has ended."""
    record = find(find_row, response_id)
    if not record.background:
        raise InvalidRequestError("A client waits for this response: only that can end it.")
    if record.status not in TERMINAL:
        cancel.request_cancel(services(), record)
    return _show(response_id)


@blueprint.post(f"{ONE}/retry")
def retry_response(response_id: str) -> BaseResponse:
    """Create a response in the background for the same request, and show that."""
    caller = current_caller()
    record = find(find_response, response_id)
    caller.require(Scope.RESPONSES_READ)
    items, _ = input_items(record, load_items, MAX_ITEMS)
    body = parse_request(request_of(record, items))
    created = create_response(services(), caller, body)
    audit_object(response_wire_id(created.id))
    return _show(response_wire_id(created.id))


@blueprint.post(f"{ONE}/delete")
def delete_response(response_id: str) -> BaseResponse:
    """Delete a response with its items and events; stop it if it runs."""
    if not cancel.delete_response(services(), find(find_row, response_id)):
        raise ResponseNotFoundError(response_id)
    return redirect(url_for("dashboard.list_responses"), code=303)


def _show(response_id: str) -> BaseResponse:
    return redirect(url_for("dashboard.show_response", response_id=response_id), code=303)
