"""Sealed content that clients hand back: opened before it is accepted."""

from typing import Any

from api.services import Services
from models.encryption.cipher import SealBrokenError
from models.encryption.items import open_items
from models.errors import InvalidRequestError


def check_seals(
    at: Services, project_id: str, items: list[dict[str, Any]], *, field: str = "input"
) -> None:
    """Raise a 400 for an item whose content this project was not given for that use."""
    for position, item in enumerate(items):
        try:
            open_items(at.sealer, project_id, [item])
        except SealBrokenError:
            raise InvalidRequestError(
                "This content was not sealed by this server for you, or was changed since.",
                param=f"{field}[{position}].encrypted_content",
                code="invalid_encrypted_content",
            ) from None
