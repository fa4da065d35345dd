"""Compactions: a long conversation as a summary that its client carries sealed."""

from typing import Any
from uuid import UUID

from models.encryption.cipher import ContentCipher

ASK = (
    "Summarise the conversation so far for whoever continues it: what was asked, decided, learned "
    "and promised, with names and numbers as they were given, and what is still open. Write "
    "nothing but the summary."
)
"""The last message of the prompt that a summary is generated from."""

PURPOSE = "compaction"
"""What a summary is sealed for."""

_INTRODUCTION = "Summary of the conversation so far:\n\n"


def compaction_item(
    cipher: ContentCipher, project_id: str, response_id: UUID, summary: str
) -> dict[str, Any]:
    """The item that stands for all that was summarised."""
    return {
        "type": "compaction",
        "id": f"cmp_{response_id.hex}",
        "encrypted_content": cipher.encrypt(project_id, PURPOSE, {"summary": summary}),
    }


def decrypt_compaction(
    cipher: ContentCipher, project_id: str, item: dict[str, Any]
) -> dict[str, Any]:
    """The system message that models read in its place.

    Raises `DecryptionError` if it was not made here for this project.
    """
    summary = cipher.decrypt(project_id, PURPOSE, item["encrypted_content"])["summary"]
    part = {"type": "input_text", "text": _INTRODUCTION + summary}
    return {"type": "message", "role": "system", "content": [part]}
