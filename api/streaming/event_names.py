"""Event types that the specification and OpenAI's clients name differently.

Events are stored under the specification's names. OpenAI's names are substituted when the events
are sent, in the same way each time, unless the reader asks for the specification's.
"""

from dataclasses import replace
from typing import cast

from flask import request

from models.errors import InvalidRequestError
from models.settings import EventNaming
from models.streams.event_log import LoggedEvent

HEADER = "Antiphon-Events"
"""Header by which one request chooses the names."""

_OPENAI_NAMES = {
    "response.reasoning.delta": "response.reasoning_text.delta",
    "response.reasoning.done": "response.reasoning_text.done",
}


def read_naming(default: EventNaming) -> EventNaming:
    """Return the naming that the current request asks for; raise a 400 for an unknown one."""
    naming = request.headers.get(HEADER, default)
    if naming not in ("specification", "openai"):
        message = f"The header {HEADER} must be 'openai' or 'specification'."
        raise InvalidRequestError(message, param=HEADER)
    return cast(EventNaming, naming)


def rename_event(event: LoggedEvent, naming: EventNaming) -> LoggedEvent:
    """Return the event under the name that a naming has for it."""
    if naming == "specification" or event.type not in _OPENAI_NAMES:
        return event
    spec_name, openai_name = event.type.encode(), _OPENAI_NAMES[event.type].encode()
    # The first occurrence is the event's type; a later one is text of the delta.
    return replace(event, data=event.data.replace(spec_name, openai_name, 1))
