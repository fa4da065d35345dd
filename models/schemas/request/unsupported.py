"""What the API knows but this server does not act on: refused by name, never ignored.

To serve something, act on it and take its line out of here.
"""

from typing import Any

UNSERVED_FIELDS: dict[str, tuple[object, ...]] = {
    "adapter": (None,),
    "background_options": (None,),
    "context_management": (None,),
    "files": (None,),
    "max_tool_rounds": (None,),
    "moderation": (None,),
    "prompt": (None,),
    "prompt_cache_options": (None,),
    "prompt_cache_retention": (None,),
}
"""Fields, each with the values that ask for nothing."""

UNSERVED_TOOLS = frozenset(
    {
        "apply_patch",
        "code_interpreter",
        "computer",
        "computer_use_preview",
        "custom",
        "file_search",
        "image_generation",
        "local_shell",
        "mcp",
        "shell",
    }
)
"""Types of tools."""


def split_unserved(body: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Take the fields of `UNSERVED_FIELDS` out of `body`.

    Returns the rest and the first of those fields that asks for something, if any.
    """
    served: dict[str, Any] = {}
    for name, value in body.items():
        if name not in UNSERVED_FIELDS:
            served[name] = value
        elif not _asks_for_nothing(value, UNSERVED_FIELDS[name]):
            return body, name
    return served, None


def unserved_within(body: dict[str, Any]) -> str | None:
    """The path of the first tool that is known and unsupported, if any."""
    for position, tool in enumerate(_objects(body.get("tools"))):
        if str(tool.get("type")) in UNSERVED_TOOLS:
            return f"tools[{position}].type"
    return None


def _objects(value: object) -> list[dict[str, Any]]:
    """The entries of a list, with something empty for what is no object."""
    if not isinstance(value, list):
        return []
    return [each if isinstance(each, dict) else {} for each in value]


def _asks_for_nothing(value: object, neutral: tuple[object, ...]) -> bool:
    """`True == 1` in Python, but not in a request."""
    return any(
        value == other and isinstance(value, bool) == isinstance(other, bool) for other in neutral
    )
