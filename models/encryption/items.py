"""Items whose content clients carry sealed, opened for the model."""

from collections.abc import Sequence
from typing import Any

from models.encryption.cipher import Sealer
from models.encryption.compaction import open_compaction
from models.encryption.reasoning import open_reasoning


def open_items(
    sealer: Sealer, project_id: str, items: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Items as models read them.

    Raises `SealBrokenError` if one was not sealed here for this project, or for another purpose.
    """
    return [_open(sealer, project_id, item) for item in items]


def _open(sealer: Sealer, project_id: str, item: dict[str, Any]) -> dict[str, Any]:
    match item.get("type"):
        case "compaction":
            return open_compaction(sealer, project_id, item)
        case "reasoning":
            return open_reasoning(sealer, project_id, item)
        case _:
            return item
