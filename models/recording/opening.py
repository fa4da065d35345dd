"""The first events of a stream, derived from the response's row."""

from models.events.state_machine import EventMachine
from models.responses.record import ResponseRecord, opening_resource
from models.streams.event_log import LoggedEvent, serialise


def opening_events(record: ResponseRecord) -> list[LoggedEvent]:
    """Return the events that every stream of a response begins with."""
    return serialise(EventMachine().open_stream(opening_resource(record)))
