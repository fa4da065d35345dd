"""Checks that every call has an output and every output a call, along the whole context."""

from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Any

from models.errors import InvalidRequestError

_OUTPUTS = {"function_call_output": "function_call"}
"""Types of items that answer a call, with the type of that call."""


class _Calls:
    """Calls that were made, and those of them that have no output yet."""

    def __init__(self) -> None:
        self._made: set[tuple[str, str]] = set()
        self._open: defaultdict[tuple[str, str], deque[str]] = defaultdict(deque)

    def add(self, item: dict[str, Any], param: str) -> None:
        """Add a call, with the field that holds it."""
        key = (item["type"], item["call_id"])
        self._made.add(key)
        self._open[key].append(param)

    def answer(self, item: dict[str, Any]) -> bool:
        """Take an output; return False if its call was never made."""
        key = (_OUTPUTS[item["type"]], item["call_id"])
        if self._open[key]:
            self._open[key].popleft()
        return key in self._made

    def first_open(self) -> tuple[str, str] | None:
        """Return the id and the field of the first call without an output."""
        for (_, call_id), params in self._open.items():
            if params:
                return call_id, params[0]
        return None


def check_call_outputs(items: Sequence[dict[str, Any]], before: Sequence[dict[str, Any]]) -> None:
    """Raise a 400 for an output of a call that was never made, and for a call without an output.

    `before` are the items of the context, whose calls may be answered in `items`.
    """
    calls = _Calls()
    for item in before:
        if item.get("type") in _OUTPUTS.values():
            calls.add(item, "input")
        elif item.get("type") in _OUTPUTS:
            calls.answer(item)
    for position, item in enumerate(items):
        param = f"input[{position}].call_id"
        if item.get("type") in _OUTPUTS.values():
            calls.add(item, param)
        elif item.get("type") in _OUTPUTS and not calls.answer(item):
            message = f"There is no function call with the call_id '{item['call_id']}' before it."
            raise InvalidRequestError(message, param=param)
    if (unanswered := calls.first_open()) is not None:
        call_id, param = unanswered
        message = f"No tool output found for function call '{call_id}'."
        raise InvalidRequestError(message, param=param, code="missing_tool_output")
