"""Events as JSON, ready for the log."""

from collections.abc import Sequence
from dataclasses import replace

from models.schemas.item_events import BaseEvent
from models.streams.event_log import LoggedEvent


def serialise(events: Sequence[BaseEvent], token_ids: Sequence[int] = ()) -> list[LoggedEvent]:
    """The last event carries the tokens: who has read it has all that came of them."""
    logged = [
        LoggedEvent(event.sequence_number, event.model_dump_json().encode()) for event in events
    ]
    if token_ids:
        logged[-1] = replace(logged[-1], token_ids=tuple(token_ids))
    return logged
