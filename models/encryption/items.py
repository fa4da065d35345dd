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

    Raises `DecryptionError` if one was not encrypted here for this project and this item type.
    """
    return [_decrypt_item(cipher, project_id, item) for item in items]


def _decrypt_item(cipher: ContentCipher, project_id: str, item: dict[str, Any]) -> dict[str, Any]:
    match item.get("type"):
        case "compaction":
            return decrypt_compaction(cipher, project_id, item)
        case "reasoning":
            return decrypt_reasoning(cipher, project_id, item)
        case _:
            return item
