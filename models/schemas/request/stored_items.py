"""Conversion of input items to the form in which they are stored."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from models.schemas.chat_shapes import CallingMessage, ToolMessage
from models.schemas.items import InputItem, InputMessage
from models.schemas.tools.call_items import GivenCall, GivenCallOutput


@dataclass(frozen=True, slots=True)
class Origin:
    """Place in the input that an item came from."""

    path: str
    """Path of the object within the input, such as `[2].tool_calls[0]`."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Names of the item's fields in it, where they differ."""


_CALL_NAMES = {"call_id": "id", "name": "function.name", "arguments": "function.arguments"}
_OUTPUT_NAMES = {"call_id": "tool_call_id", "output": "content"}


def stored_items(items: Sequence[InputItem]) -> list[dict[str, Any]]:
    """Return the items without their nulls; what has the shape of chats is converted."""
    return [part.model_dump(exclude_none=True) for part, _ in _split(items)]


def num_stored(items: Sequence[InputItem]) -> int:
    """Return an upper bound of the number of `stored_items`."""
    calls = (item.tool_calls for item in items if isinstance(item, CallingMessage))
    return len(items) + sum(map(len, calls))


def origins_of(items: Sequence[InputItem]) -> list[Origin]:
    """Return the origin of each item of `stored_items`."""
    return [origin for _, origin in _split(items)]


def _split(items: Sequence[InputItem]) -> Iterator[tuple[InputItem, Origin]]:
    for position, item in enumerate(items):
        path = f"[{position}]"
        match item:
            case ToolMessage():
                yield _to_output(item), Origin(path, _OUTPUT_NAMES)
            case CallingMessage():
                if item.content:
                    yield _to_message(item), Origin(path)
                for number, call in enumerate(item.tool_calls):
                    made = GivenCall(
                        type="function_call",
                        call_id=call.id,
                        name=call.function.name,
                        arguments=call.function.arguments,
                    )
                    yield made, Origin(f"{path}.tool_calls[{number}]", _CALL_NAMES)
            case _:
                yield item, Origin(path)


def _to_output(message: ToolMessage) -> GivenCallOutput:
    return GivenCallOutput(
        type="function_call_output",
        id=message.id,
        call_id=message.tool_call_id,
        output=message.content,
        status=message.status,
    )


def _to_message(message: CallingMessage) -> InputMessage:
    others = message.model_dump(include={"id", "name", "status"})
    return InputMessage(role="assistant", content=message.content or "", **others)


def is_reference(item: dict[str, Any]) -> bool:
    """Return True if an item of a request stands for a stored one."""
    return bool(item.get("type", "item_reference") == "item_reference")
