"""Padding of deltas, so that the sizes of encrypted frames reveal less about the text.

The padding is derived from the event's bytes: an event is the same each time it is sent.
"""

import hashlib

from models.streams.event_log import LoggedEvent

PADDED_TYPES = frozenset(
    {
        "response.output_text.delta",
        "response.reasoning.delta",
        "response.reasoning_text.delta",
        "response.reasoning_summary_text.delta",
        "response.function_call_arguments.delta",
    }
)
STEP = 64
"""Sizes of padded events are multiples of this number of bytes."""

_FIELD = b',"obfuscation":"%b"}'
_OVERHEAD = len(_FIELD) - 3


def pad_event(event: LoggedEvent) -> bytes:
    """Return the event's JSON, with an `obfuscation` field if it is a delta."""
    return pad(event.data) if event.type in PADDED_TYPES else event.data


def pad(data: bytes) -> bytes:
    """Return a JSON object with an `obfuscation` field that pads it."""
    length = -(len(data) + _OVERHEAD) % STEP
    padding = hashlib.blake2b(data).hexdigest()[:length].encode()
    return data[:-1] + _FIELD % padding
