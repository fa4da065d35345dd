"""Decryption of input items before the model reads them."""

from collections.abc import Sequence
from typing import Any

from models.encryption.cipher import ContentCipher
from models.encryption.compaction import decrypt_compaction
from models.encryption.reasoning import decrypt_reasoning


def decrypt_items(
    cipher: ContentCipher, project_id: str, items: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the items with `encrypted_content` decrypted; other items are unchanged.

    An item that was made while a response was generated replaces all before it. Raises
    `DecryptionError` if one was not encrypted here for this project and this item type.
    """
    decrypted: list[dict[str, Any]] = []
    for item in items:
        match item.get("type"):
            case "compaction":
                content = item["encrypted_content"]
                summary, kept = decrypt_compaction(cipher, project_id, content)
                decrypted = [*decrypted, summary] if kept is None else [summary, *kept]
            case "reasoning":
                decrypted.append(decrypt_reasoning(cipher, project_id, item))
            case _:
                decrypted.append(item)
    return decrypted
