"""Identifiers: time-ordered uuid7 in the database, prefixed hex on the wire."""

import re
from datetime import datetime
from uuid import UUID

import uuid_utils.compat

RESPONSE_PREFIX = "resp_"

_RESPONSE_ID = re.compile(RESPONSE_PREFIX + r"([0-9a-f]{32})")


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


def input_item_id(response_id: UUID, position: int) -> str:
    """The id of the input item at `position` when its client gave none."""
    return f"msg_{response_id.hex}_in{position}"


def output_item_id(response_id: UUID, output_index: int) -> str:
    """Derived, not drawn, so that a second attempt writes the same events as the first."""
    return f"msg_{response_id.hex}_{output_index}"
