"""Items and parts of recorded output, with the types that tests expect."""

from models.schemas.event_types import BaseEvent
from models.schemas.item_events import ContentPartDone, OutputItemAdded, OutputItemDone
from models.schemas.output import (
    FunctionCall,
    OutputItem,
    OutputMessage,
    Reasoning,
    WebSearchCall,
)
from models.schemas.parts import OutputText


def item_of(event: BaseEvent) -> OutputItem:
    """Return the item in an event, which must open or close one."""
    assert isinstance(event, OutputItemAdded | OutputItemDone)
    return event.item


def text_of(event: BaseEvent) -> OutputText:
    """Return the part in an event, which must close a part of text."""
    assert isinstance(event, ContentPartDone)
    assert isinstance(event.part, OutputText)
    return event.part


def message_of(item: OutputItem) -> OutputMessage:
    """Return an item, which must be a message."""
    assert isinstance(item, OutputMessage)
    return item


def reasoning_of(item: OutputItem) -> Reasoning:
    """Return an item, which must be reasoning."""
    assert isinstance(item, Reasoning)
    return item


def call_of(item: OutputItem) -> FunctionCall:
    """Return an item, which must be a function call."""
    assert isinstance(item, FunctionCall)
    return item


def search_of(item: OutputItem) -> WebSearchCall:
    """Return an item, which must be a web search call."""
    assert isinstance(item, WebSearchCall)
    return item
