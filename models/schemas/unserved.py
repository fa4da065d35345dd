"""Fields of items, parts and tools that the API knows and this server does not act on.

Clients hand items and tools back as they dump them, with every field that they know. Null, and the
values listed here, change nothing: they are accepted and dropped. Any other value would change an
answer: it is refused by name, never ignored (`drop_unserved` in `models/schemas/strict.py`). To
support a field, implement it and remove it here.
"""

from collections.abc import Mapping

Unserved = Mapping[str, tuple[object, ...] | None]
"""Fields by name, each with the values besides null that have no effect; None: no value has one."""

ANY = None
"""Values of a field that never has an effect, as the parse helpers of clients add to items."""

_CALLER: tuple[object, ...] = ({"type": "direct"},)

MESSAGE: Unserved = {
    "annotations": ([],),
    "audio": (),
    "created_by": ANY,
    "function_call": (),
    "parsed": ANY,
    "refusal": (),
}
"""All but one are fields of messages that clients of chat completions dump."""
CHAT_CALL: Unserved = {"index": ANY}
CALL: Unserved = {
    "async": (False,),
    "async_": (False,),  # as Python clients dump it
    "caller": _CALLER,
    "created_by": ANY,
    "parsed_arguments": ANY,
}
CALL_OUTPUT: Unserved = {"caller": _CALLER, "created_by": ANY}
OTHER_ITEM: Unserved = {"created_by": ANY}

TEXT_PART: Unserved = {"parsed": ANY, "prompt_cache_breakpoint": ANY}
INPUT_PART: Unserved = {"annotations": ANY, "logprobs": ANY}
"""Clients that know one part of a list too little read all of them as output text."""
PLAIN_TEXT: Unserved = {**TEXT_PART, **INPUT_PART}
IMAGE_PART: Unserved = {**INPUT_PART, "text": ()}

FUNCTION: Unserved = {
    "allowed_callers": (["direct"],),
    "async": (False,),
    "async_": (False,),
}
MCP_ITEM: Unserved = {**OTHER_ITEM, "status": ANY}
"""Lists of items give every item a status; these have none of their own."""
MCP: Unserved = {
    "allowed_callers": (["direct"],),
    "connector_id": (),
    "defer_loading": (False,),
    "tunnel_id": (),
}
