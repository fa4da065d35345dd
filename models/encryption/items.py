"""Items whose content clients carry sealed, opened for the model."""

from collections.abc import Sequence
from typing import Any

from models.encryption.cipher import ContentCipher
from models.encryption.compaction import decrypt_compaction
from models.encryption.reasoning import decrypt_reasoning


def decrypt_items(
    cipher: ContentCipher, project_id: str, items: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Items as models read them.

    Raises `DecryptionError` if one was not sealed here for this project, or for another purpose.
    """
    return [_open(cipher, project_id, item) for item in items]


def _open(cipher: ContentCipher, project_id: str, item: dict[str, Any]) -> dict[str, Any]:
    match item.get("type"):
        case "compaction":
            return decrypt_compaction(cipher, project_id, item)
        case "reasoning":
            return decrypt_reasoning(cipher, project_id, item)
        case _:
            return item
