"""Names of events that the specification and OpenAI's clients spell differently.

What is stored has the specification's; the other is put in its place on the way out, in the same
way each time.
"""

from dataclasses import replace
from typing import Literal

from models.streams.event_log import LoggedEvent

_OF_OPENAI = {
    "response.reasoning.delta": "response.reasoning_text.delta",
    "response.reasoning.done": "response.reasoning_text.done",
}


def spelled(event: LoggedEvent, dialect: Literal["specification", "openai"]) -> LoggedEvent:
    """The event as clients are to see it."""
    if dialect == "specification" or event.type not in _OF_OPENAI:
        return event
    ours, theirs = event.type.encode(), _OF_OPENAI[event.type].encode()
    # The type is the first that is in it.
    return replace(event, data=event.data.replace(ours, theirs, 1))
