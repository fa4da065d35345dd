"""Fields and tools of the API that this server does not support: refused by name, never ignored.

To support one, implement it and remove its line here.
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
"""Fields, each with the values that have no effect and are therefore accepted."""

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
"""Types of unsupported tools."""


def split_unserved(body: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Remove the fields of `UNSERVED_FIELDS` from `body`.

    Returns the rest, and the first of those fields whose value would have an effect, if any.
    """
    served: dict[str, Any] = {}
    for name, value in body.items():
        if name not in UNSERVED_FIELDS:
            served[name] = value
        elif not _is_neutral(value, UNSERVED_FIELDS[name]):
            return body, name
    return served, None


def find_unserved_tool(body: dict[str, Any]) -> str | None:
    """Return the path of the first unsupported tool of `UNSERVED_TOOLS`, if any."""
    for position, tool in enumerate(_objects(body.get("tools"))):
        if str(tool.get("type")) in UNSERVED_TOOLS:
            return f"tools[{position}].type"
    return None


def _objects(value: object) -> list[dict[str, Any]]:
    """Return the entries of a list, with an empty object in place of anything else."""
    if not isinstance(value, list):
        return []
    return [entry if isinstance(entry, dict) else {} for entry in value]


def _is_neutral(value: object, neutral_values: tuple[object, ...]) -> bool:
    """Return True if the value is a neutral one; in a request, unlike Python, `true` is not 1."""
    return any(
        value == other and isinstance(value, bool) == isinstance(other, bool)
        for other in neutral_values
    )
