"""Identifiers: time-ordered uuid7 in the database, prefixed hex on the wire."""

import re
from datetime import datetime
from uuid import UUID

import uuid_utils.compat

RESPONSE_PREFIX = "resp_"
CONVERSATION_PREFIX = "conv_"
ENDPOINT_PREFIX = "we_"

_ENDPOINT_ID = re.compile(ENDPOINT_PREFIX + r"([0-9a-f]{32})")
_RESPONSE_ID = re.compile(RESPONSE_PREFIX + r"([0-9a-f]{32})")
_CONVERSATION_ID = re.compile(CONVERSATION_PREFIX + r"([0-9a-f]{32})")


def new_id() -> UUID:
    """A fresh uuid7 (RFC 9562 §5.7), so that primary keys sort by time of creation."""
    return uuid_utils.compat.uuid7()


def id_floor(moment: datetime) -> UUID:
    """An id below every id of `moment` and later: its first 48 bits are milliseconds."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


def response_wire_id(response_id: UUID) -> str:
    """`resp_` and 32 hex digits."""
    return RESPONSE_PREFIX + response_id.hex


def parse_response_id(wire_id: str) -> UUID | None:
    """The uuid of a wire id; None if it cannot be one of ours."""
    found = _RESPONSE_ID.fullmatch(wire_id)
    return UUID(hex=found[1]) if found else None


def conversation_wire_id(conversation_id: UUID) -> str:
    """`conv_` and 32 hex digits."""
    return CONVERSATION_PREFIX + conversation_id.hex


def parse_conversation_id(wire_id: str) -> UUID | None:
    """The uuid of a wire id; None if it cannot be one of ours."""
    found = _CONVERSATION_ID.fullmatch(wire_id)
    return UUID(hex=found[1]) if found else None


_ITEM_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "reasoning": "rs",
    "web_search_call": "ws",
    "compaction": "cmp",
}
_OUTPUT_ITEM_ID = re.compile(r"[a-z]+_[0-9a-f]{32}_(?:c([0-9]+)_)?[0-9]+")


def endpoint_wire_id(endpoint_id: UUID) -> str:
    """`we_` and 32 hex digits."""
    return ENDPOINT_PREFIX + endpoint_id.hex


def parse_endpoint_id(wire_id: str) -> UUID | None:
    """The uuid of a webhook endpoint's wire id; None if it cannot be one of ours."""
    found = _ENDPOINT_ID.fullmatch(wire_id)
    return UUID(hex=found[1]) if found else None


def input_item_id(kind: str, response_id: UUID, position: int) -> str:
    """The id of the input item of a type at `position` when its client gave none."""
    return f"{_ITEM_PREFIXES[kind]}_{response_id.hex}_in{position}"


def new_item_id(kind: str) -> str:
    """The id of an item of a type that belongs to no response."""
    return f"{_ITEM_PREFIXES[kind]}_{new_id().hex}"


def output_item_id(kind: str, response_id: UUID, position: int, choice: int = 0) -> str:
    """Derived, not drawn, so that a second attempt writes the same events as the first.

    `position` counts the items of one of `n` choices. `models/store/responses.py` tells those of
    the first by this form.
    """
    place = f"c{choice}_{position}" if choice else str(position)
    return f"{_ITEM_PREFIXES[kind]}_{response_id.hex}_{place}"


def choice_of(item_id: str) -> int:
    """Which of `n` choices an output item belongs to."""
    found = _OUTPUT_ITEM_ID.fullmatch(item_id)
    return int(found[1] or 0) if found else 0


def call_id_of(item_id: str) -> str:
    """The `call_id` that belongs to the id of a function call."""
    return "call_" + item_id.partition("_")[2]
