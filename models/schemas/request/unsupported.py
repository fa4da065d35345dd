"""Fields and tools of the API that this server does not support: refused by name, never ignored.

To support one, implement it and remove its line here. The fields of items, parts and tools are in
`models/schemas/unserved.py`, with the rule for all.
"""

from typing import Any

from models.schemas.unserved import Unserved

UNSERVED_FIELDS: Unserved = {
    "adapter": (),
    "files": ([],),
    "max_tool_rounds": (),
    "moderation": (),
    "personality": (),
    "prompt": (),
}
"""Fields of a request, each with the values besides null that have no effect."""

UNSERVED_TOOLS = frozenset(
    {
        "apply_patch",
        "code_interpreter",
        "computer",
        "computer_use_preview",
        "file_search",
        "image_generation",
        "local_shell",
        "programmatic_tool_calling",
        "shell",
    }
)
"""Types of unsupported tools."""


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
