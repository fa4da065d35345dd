"""Identifiers: time-ordered UUIDv7 in the database, prefixed hexadecimal digits in the API."""

import re
from datetime import UTC, datetime
from uuid import UUID

import uuid_utils.compat

RESPONSE_PREFIX = "resp_"
CHAT_PREFIX = "chatcmpl-"
CONVERSATION_PREFIX = "conv_"
COMPACTION_PREFIX = "cmp_"
ENDPOINT_PREFIX = "we_"
PROJECT_PREFIX = "proj_"
AUDIT_PREFIX = "audit_"

_VERSION = 7
_ENDPOINT_ID = re.compile(ENDPOINT_PREFIX + r"([0-9a-f]{32})")
_AUDIT_ID = re.compile(AUDIT_PREFIX + r"([0-9a-f]{32})")
_RESPONSE_ID = re.compile(RESPONSE_PREFIX + r"([0-9a-f]{32})")
_CONVERSATION_ID = re.compile(CONVERSATION_PREFIX + r"([0-9a-f]{32})")


def new_id() -> UUID:
    """Return a new UUIDv7 (RFC 9562 §5.7), so that primary keys sort by time of creation."""
    return uuid_utils.compat.uuid7()


def id_floor(moment: datetime) -> UUID:
    """Return the smallest UUIDv7 of `moment`: no id made at `moment` or later is below it.

    The first 48 bits of a UUIDv7 are the Unix time in milliseconds.
    """
    return UUID(int=int(moment.timestamp() * 1000) << 80)


def time_of_id(made: UUID) -> datetime:
    """Return the time at which a UUIDv7 was made, to the millisecond."""
    return datetime.fromtimestamp((made.int >> 80) / 1000, UTC)


def response_wire_id(response_id: UUID) -> str:
    """Return a response's id in the API: `resp_` and 32 hex digits."""
    return RESPONSE_PREFIX + response_id.hex


def chat_wire_id(response_id: UUID) -> str:
    """Return the id of the chat completion that a response answers."""
    return CHAT_PREFIX + response_id.hex


def parse_response_id(wire_id: str) -> UUID | None:
    """Return the UUID of a response's API id; None if the id is malformed."""
    found = _RESPONSE_ID.fullmatch(wire_id)
    return UUID(hex=found[1]) if found else None


def conversation_wire_id(conversation_id: UUID) -> str:
    """Return a conversation's id in the API: `conv_` and 32 hex digits."""
    return CONVERSATION_PREFIX + conversation_id.hex


def parse_conversation_id(wire_id: str) -> UUID | None:
    """Return the UUID of a conversation's API id; None if the id is malformed."""
    found = _CONVERSATION_ID.fullmatch(wire_id)
    return UUID(hex=found[1]) if found else None


_ITEM_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "tool_search_call": "tsc",
    "tool_search_output": "tso",
    "additional_tools": "at",
    "reasoning": "rs",
    "web_search_call": "ws",
    "compaction": COMPACTION_PREFIX.removesuffix("_"),
    "mcp_list_tools": "mcpl",
    "mcp_call": "mcp",
    "mcp_approval_request": "mcpr",
    "mcp_approval_response": "mcpa",
    "file_search_call": "fs",
    "code_interpreter_call": "ci",
    "shell_call": "sh",
    "shell_call_output": "sho",
    "local_shell_call": "lsh",
    "local_shell_call_output": "lsho",
    "apply_patch_call": "apc",
    "apply_patch_call_output": "apco",
}
_MADE_ITEM_ID = re.compile(r"[a-z]+_([0-9a-f]{32})(?:_(?:in|c[0-9]+_)?[0-9]+)?")
_OUTPUT_ITEM_ID = re.compile(r"[a-z]+_[0-9a-f]{32}_(?:c([0-9]+)_)?[0-9]+")


def endpoint_wire_id(endpoint_id: UUID) -> str:
    """Return a webhook endpoint's id in the API: `we_` and 32 hex digits."""
    return ENDPOINT_PREFIX + endpoint_id.hex


def parse_endpoint_id(wire_id: str) -> UUID | None:
    """Return the UUID of a webhook endpoint's API id; None if the id is malformed."""
    found = _ENDPOINT_ID.fullmatch(wire_id)
    return UUID(hex=found[1]) if found else None


def new_project_id() -> str:
    """Return an id for a project whose operator has chosen none."""
    return PROJECT_PREFIX + new_id().hex


def audit_wire_id(entry_id: UUID) -> str:
    """Return the id of an entry of the audit trail in the API."""
    return AUDIT_PREFIX + entry_id.hex


def parse_audit_id(wire_id: str) -> UUID | None:
    """Return the UUID of an entry's API id; None if the id is malformed."""
    found = _AUDIT_ID.fullmatch(wire_id)
    return UUID(hex=found[1]) if found else None


def input_item_id(kind: str, response_id: UUID, position: int) -> str:
    """Return the id for an input item of type `kind` at `position` that was sent without one."""
    return f"{_ITEM_PREFIXES[kind]}_{response_id.hex}_in{position}"


def new_item_id(kind: str) -> str:
    """Return a new id for an item of type `kind` that belongs to no response."""
    return f"{_ITEM_PREFIXES[kind]}_{new_id().hex}"


def output_item_id(kind: str, response_id: UUID, position: int, choice: int = 0) -> str:
    """Return the id of an output item of type `kind`.

    It is derived, not random, so that a second attempt writes the same events as the first.
    `position` counts the items of one of the `n` choices. The query for a chain of responses in
    `models/store/items.py` recognises items of later choices by this form.
    """
    suffix = f"c{choice}_{position}" if choice else str(position)
    return f"{_ITEM_PREFIXES[kind]}_{response_id.hex}_{suffix}"


def parse_item_id(item_id: str) -> UUID | None:
    """Return the UUID in an item id that was made here; None for any other, which a client made.

    It is the id of the response that the item belongs to, or of the item itself (`new_item_id`).
    """
    found = _MADE_ITEM_ID.fullmatch(item_id)
    owner = UUID(hex=found[1]) if found else None
    return owner if owner is not None and owner.version == _VERSION else None


def choice_of(item_id: str) -> int:
    """Return the number of the choice that an output item belongs to; 0 is the first.

    A compaction precedes all choices and belongs to none: -1.
    """
    if item_id.startswith(COMPACTION_PREFIX):
        return -1
    found = _OUTPUT_ITEM_ID.fullmatch(item_id)
    return int(found[1] or 0) if found else 0


def call_id_of(item_id: str) -> str:
    """Return the `call_id` derived from the id of an item that is a call."""
    return "call_" + item_id.partition("_")[2]
