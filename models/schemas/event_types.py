"""Base classes of server-sent events (specification §4)."""

from pydantic import BaseModel


class BaseEvent(BaseModel):
    """Fields of every event."""

    type: str
    sequence_number: int


class ItemEvent(BaseEvent):
    """An event of one output item."""

    output_index: int


class PieceEvent(ItemEvent):
    """An event of the content of one item."""

    item_id: str


class ContentEvent(PieceEvent):
    """An event of one content part."""

    content_index: int
