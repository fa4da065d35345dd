"""Conversion of request fields into those of the response object, with defaults filled in."""

from typing import Any
from uuid import UUID

from models.ids import conversation_wire_id

_FUNCTION_KEYS = ("type", "name", "description", "parameters", "strict")


def serialise_text(text: dict[str, Any]) -> dict[str, Any]:
    """Return the `text` field."""
    output_format = text.get("format") or {"type": "text"}
    if output_format["type"] == "json_schema":
        output_format = {
            "type": "json_schema",
            "name": output_format["name"],
            "description": output_format.get("description"),
            "schema": output_format["schema"],
            "strict": bool(output_format.get("strict")),
        }
    return {"format": output_format, "verbosity": text.get("verbosity") or "medium"}


def serialise_tools(tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the `tools` field; a function has all its keys (specification §3)."""
    keys = dict.fromkeys(_FUNCTION_KEYS)
    return [{**keys, **tool} if tool["type"] == "function" else tool for tool in tools]


def serialise_reasoning(reasoning: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the `reasoning` field, with the two keys of the specification."""
    if reasoning is None:
        return None
    return {"effort": None, "summary": None, **reasoning}


def serialise_cache_options(options: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the `prompt_cache_options` field, with OpenAI's defaults filled in."""
    return None if options is None else {"mode": "implicit", "ttl": "30m", **options}


def serialise_image(image: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the `image` field: images are not compressed."""
    return None if image is None else {"context_compression": "disabled"}


def serialise_conversation(conversation_id: UUID | None) -> dict[str, str] | None:
    """Return the `conversation` field, as an object."""
    return None if conversation_id is None else {"id": conversation_wire_id(conversation_id)}


def serialise_service_tier(tier: str | None) -> str:
    """Return the `service_tier` in use: `default` if the client left the choice to the server."""
    return "default" if tier in (None, "auto") else str(tier)
