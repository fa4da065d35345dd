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
    "parallel_tool_calls": (None, True),
    "prompt": (None,),
    "prompt_cache_options": (None,),
    "prompt_cache_retention": (None,),
    "tool_choice": (None, "auto", "none"),
    "tools": (None, []),
}
"""Fields, each with the values that ask for nothing."""

_OF_TOOLS = ("tools", "tool_choice")

UNSERVED_ITEMS = frozenset(
    {
        "function_call",
        "function_call_output",
    }
)
"""Types of input items."""

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
        if name not in UNSERVED_FIELDS or (name in _OF_TOOLS and _are_hosted(body.get("tools"))):
            served[name] = value
        elif not _asks_for_nothing(value, UNSERVED_FIELDS[name]):
            return body, name
    return served, None


def unserved_within(body: dict[str, Any]) -> str | None:
    """The path of the first item or tool that is known and unserved, if any."""
    for position, tool in enumerate(_objects(body.get("tools"))):
        if str(tool.get("type")) in UNSERVED_TOOLS:
            return f"tools[{position}].type"
    return unserved_item(body, "input")


def unserved_item(body: dict[str, Any], field: str) -> str | None:
    """The path of the first item in a field that is known and unserved, if any."""
    for position, item in enumerate(_objects(body.get(field))):
        if str(item.get("type")) in UNSERVED_ITEMS:
            return f"{field}[{position}].type"
    return None


def _are_hosted(tools: object) -> bool:
    """Whether there are tools, and the server has all of them; functions it does not call yet."""
    kinds = [each.get("type") for each in _objects(tools)]
    return bool(kinds) and all(str(kind).startswith("web_search") for kind in kinds)


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
