"""Scopes that a request needs for what it refers to.

The model reads what a request continues, and its answer may repeat all of that: a key that may only
write must not read by this way.
"""

from collections.abc import Iterable
from typing import Any

from models.access.caller import Caller
from models.access.scopes import Scope
from models.schemas.request.create_response import CreateResponse
from models.schemas.request.stored_items import is_reference


def check_rights(caller: Caller, body: CreateResponse, items: Iterable[dict[str, Any]]) -> None:
    """Raise a 403 if the request, whose input is `items`, names what its key must not read."""
    if body.conversation is not None:
        caller.require(Scope.CONVERSATIONS, param="conversation")
    if body.previous_response_id is not None:
        caller.require(Scope.RESPONSES_READ, param="previous_response_id")
    check_references(caller, items)


def check_references(
    caller: Caller, items: Iterable[dict[str, Any]], *, field: str = "input"
) -> None:
    """Raise a 403 if an item is a reference to a stored one and the key must not read those."""
    for position, item in enumerate(items):
        if is_reference(item):
            caller.require(Scope.RESPONSES_READ, param=f"{field}[{position}]")
