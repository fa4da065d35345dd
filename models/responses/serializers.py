"""Fields of a request as the response object shows them: in one spelling, defaults filled in."""

from typing import Any
from uuid import UUID

from models.ids import conversation_wire_id

_FUNCTION_KEYS = ("type", "name", "description", "parameters", "strict")


def echo_text(text: dict[str, Any]) -> dict[str, Any]:
    """The `text` field."""
    chosen = text.get("format") or {"type": "text"}
    if chosen["type"] == "json_schema":
        chosen = {
            "type": "json_schema",
            "name": chosen["name"],
            "description": chosen.get("description"),
            "schema": chosen["schema"],
            "strict": bool(chosen.get("strict")),
        }
    return {"format": chosen, "verbosity": text.get("verbosity") or "medium"}


def echo_tools(tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The `tools` field; of a function all keys are there (specification §3)."""
    return [
        {key: tool.get(key) for key in _FUNCTION_KEYS} if tool["type"] == "function" else tool
        for tool in tools
    ]


def echo_reasoning(reasoning: dict[str, Any] | None) -> dict[str, Any] | None:
    """The `reasoning` field, with both of its keys."""
    if reasoning is None:
        return None
    return {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")}


def echo_conversation(conversation_id: UUID | None) -> dict[str, str] | None:
    """The `conversation` field, as an object."""
    return None if conversation_id is None else {"id": conversation_wire_id(conversation_id)}


def echo_tier(tier: str | None) -> str:
    """The `service_tier` that is given: `auto` leaves the choice to the server."""
    return "default" if tier in (None, "auto") else str(tier)
