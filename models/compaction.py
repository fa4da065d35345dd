"""Compactions: a long conversation as a summary that its client carries sealed."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from models.sealing import Sealer

ASK = (
    "Summarise the conversation so far for whoever continues it: what was asked, decided, learned "
    "and promised, with names and numbers as they were given, and what is still open. Write "
    "nothing but the summary."
)
"""The last message of the prompt that a summary is generated from."""

_INTRODUCTION = "Summary of the conversation so far:\n\n"


def compaction_item(
    sealer: Sealer, project_id: str, response_id: UUID, summary: str
) -> dict[str, Any]:
    """The item that stands for all that was summarised."""
    return {
        "type": "compaction",
        "id": f"cmp_{response_id.hex}",
        "encrypted_content": sealer.seal(project_id, {"summary": summary}),
    }


def open_compactions(
    sealer: Sealer, project_id: str, items: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Items with a system message in place of each compaction, as models read them.

    Raises `SealBrokenError` if one was not made here for this project.
    """
    return [
        _message(sealer.open(project_id, item["encrypted_content"])["summary"])
        if item.get("type") == "compaction"
        else item
        for item in items
    ]


def _message(summary: str) -> dict[str, Any]:
    part = {"type": "input_text", "text": _INTRODUCTION + summary}
    return {"type": "message", "role": "system", "content": [part]}
