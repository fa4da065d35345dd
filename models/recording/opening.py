"""The events that every stream of a response begins with."""

from models.events.state_machine import EventMachine
from models.recording.event_json import serialise
from models.responses.record import ResponseRecord, opening_resource
from models.streams.event_log import LoggedEvent


def opening_events(stored: ResponseRecord) -> list[LoggedEvent]:
    """The events that every stream of a response begins with, made from its row."""
    return serialise(EventMachine().open_stream(opening_resource(stored)))
