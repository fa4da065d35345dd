"""Compaction items: encrypted summaries that replace a long conversation."""

from typing import Any
from uuid import UUID

from models.encryption.cipher import ContentCipher

SUMMARY_INSTRUCTION = (
    "Summarise the conversation so far for whoever continues it: what was asked, decided, learned "
    "and promised, with names and numbers as they were given, and what is still open. Write "
    "nothing but the summary."
)
"""Last message of the prompt that generates a summary."""

PURPOSE = "compaction"
"""Purpose that the cipher authenticates with a summary."""

_INTRODUCTION = "Summary of the conversation so far:\n\n"


def compaction_item(
    cipher: ContentCipher, project_id: str, response_id: UUID, summary: str
) -> dict[str, Any]:
    """Return the item that replaces the summarised conversation."""
    return {
        "type": "compaction",
        "id": f"cmp_{response_id.hex}",
        "encrypted_content": cipher.encrypt(project_id, PURPOSE, {"summary": summary}),
    }


def decrypt_compaction(
    cipher: ContentCipher, project_id: str, item: dict[str, Any]
) -> dict[str, Any]:
    """Return the system message with the summary, which models read in place of the item.

    Raises `DecryptionError` if the item was not encrypted here for this project.
    """
    summary = cipher.decrypt(project_id, PURPOSE, item["encrypted_content"])["summary"]
    part = {"type": "input_text", "text": _INTRODUCTION + summary}
    return {"type": "message", "role": "system", "content": [part]}
