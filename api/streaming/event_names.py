"""Event types that the specification and OpenAI's clients name differently.

Events are stored under the specification's names. OpenAI's names are substituted when the events
are sent, in the same way each time.
"""

from dataclasses import replace
from typing import Literal

from models.streams.event_log import LoggedEvent

_OPENAI_NAMES = {
    "response.reasoning.delta": "response.reasoning_text.delta",
    "response.reasoning.done": "response.reasoning_text.done",
}


def rename_event(event: LoggedEvent, naming: Literal["specification", "openai"]) -> LoggedEvent:
    """Return the event under the name that the setting `reasoning_events` selects."""
    if naming == "specification" or event.type not in _OPENAI_NAMES:
        return event
    spec_name, openai_name = event.type.encode(), _OPENAI_NAMES[event.type].encode()
    # The first occurrence is the event's type; a later one is text of the delta.
    return replace(event, data=event.data.replace(spec_name, openai_name, 1))
