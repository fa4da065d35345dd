"""Validation of encrypted content that clients send back: it must decrypt."""

from typing import Any

from api.services import Services
from models.encryption.cipher import DecryptionError
from models.encryption.items import decrypt_items
from models.errors import InvalidRequestError


def check_encrypted_content(
    services: Services, project_id: str, items: list[dict[str, Any]], *, field: str = "input"
) -> None:
    """Raise a 400 for an item whose content was not encrypted for this project and this use."""
    for position, item in enumerate(items):
        try:
            decrypt_items(services.cipher, project_id, [item])
        except DecryptionError:
            raise InvalidRequestError(
                "This content was not sealed by this server for you, or was changed since.",
                param=f"{field}[{position}].encrypted_content",
                code="invalid_encrypted_content",
            ) from None
