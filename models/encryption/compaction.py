"""Compaction items: encrypted summaries that replace a long conversation."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from models.encryption.cipher import ContentCipher
from models.ids import COMPACTION_PREFIX

SUMMARY_INSTRUCTION = (
    "Summarise the conversation so far for whoever continues it: what was asked, decided, learned "
    "and promised, with names and numbers as they were given, and what is still open. Write "
    "nothing but the summary."
)
"""Last message of the prompt that generates a summary."""

PURPOSE = "compaction"
"""Purpose that the cipher authenticates with a summary."""

_SUMMARY = "is_summary"
"""Key of messages with summaries, beside the fields of items."""

_IMAGE = {"type": "input_text", "text": "(an image)"}

_INTRODUCTION = "Summary of the conversation so far:\n\n"


def compaction_item(
    cipher: ContentCipher, project_id: str, response_id: UUID, summary: str
) -> dict[str, Any]:
    """Return the item that replaces the summarised conversation."""
    return {
        "type": "compaction",
        "id": f"{COMPACTION_PREFIX}{response_id.hex}",
        "encrypted_content": cipher.encrypt(project_id, PURPOSE, {"summary": summary}),
    }


def encrypt_compaction(
    cipher: ContentCipher, project_id: str, summary: str, kept: Sequence[dict[str, Any]]
) -> str:
    """Return the content of an item that replaces everything before it.

    `kept` are the items that are not summarised; images are left out of them.
    """
    content = {"summary": summary, "kept": [_without_images(item) for item in kept]}
    return cipher.encrypt(project_id, PURPOSE, content)


def decrypt_compaction(
    cipher: ContentCipher, project_id: str, encrypted: str
) -> tuple[dict[str, Any], list[dict[str, Any]] | None]:
    """Return the system message with the summary, which models read, and the items to keep.

    The latter are None if the item replaces nothing but what was left out already. Raises
    `DecryptionError` if the content was not encrypted here for this project.
    """
    content = cipher.decrypt(project_id, PURPOSE, encrypted)
    part = {"type": "input_text", "text": _INTRODUCTION + content["summary"]}
    message = {"type": "message", "role": "system", "content": [part], _SUMMARY: True}
    return message, content.get("kept")


def is_summary(item: dict[str, Any]) -> bool:
    """Return True for the message with the summary of an earlier conversation."""
    return _SUMMARY in item


def _without_images(item: dict[str, Any]) -> dict[str, Any]:
    fields = {
        name: [_IMAGE if part["type"] == "input_image" else part for part in item[name]]
        for name in ("content", "output")
        if isinstance(item.get(name), list)
    }
    return {**item, **fields}
