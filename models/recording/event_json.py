"""Conversion of events into entries of the log."""

from collections.abc import Sequence
from dataclasses import replace

from models.schemas.item_events import BaseEvent
from models.streams.event_log import LoggedEvent


def serialise(events: Sequence[BaseEvent], token_ids: Sequence[int] = ()) -> list[LoggedEvent]:
    """Return the events as entries of the log; the last one carries the ids of their tokens.

    Whoever has the tokens thus has every event that they led to.
    """
    logged = [
        LoggedEvent(event.sequence_number, event.model_dump_json().encode()) for event in events
    ]
    if token_ids:
        logged[-1] = replace(logged[-1], token_ids=tuple(token_ids))
    return logged
