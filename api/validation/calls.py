"""Checks that every call has an output and every output a call, along the whole context."""

from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Any

from models.errors import InvalidRequestError
from models.schemas.items import CALL_OF_OUTPUT
from models.schemas.request.tools import qualified_name

_CALLS = frozenset(CALL_OF_OUTPUT.values())


class _Calls:
    """Calls that were made, and those of them that have no output yet."""

    def __init__(self) -> None:
        self._made: set[tuple[str, str]] = set()
        self._open: defaultdict[tuple[str, str], deque[str]] = defaultdict(deque)
        self._by_name: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        """Calls by type and name, in order."""

    def add(self, item: dict[str, Any], param: str) -> None:
        """Add a call, with the field that holds it."""
        key = (item["type"], item["call_id"])
        self._made.add(key)
        self._open[key].append(param)
        self._by_name[item["type"], item.get("name", "")].append(item)

    def answer(self, item: dict[str, Any]) -> bool:
        """Take an output; return False if its call was never made."""
        key = (CALL_OF_OUTPUT[item["type"]], item["call_id"])
        if self._open[key]:
            self._open[key].popleft()
        return key in self._made

    def latest_open(self, output: dict[str, Any]) -> str | None:
        """Return the id of the latest unanswered call of the tool that an output names."""
        calls = self._by_name[CALL_OF_OUTPUT[output["type"]], output.get("name", "")]
        while calls and not self._open[calls[-1]["type"], calls[-1]["call_id"]]:
            calls.pop()
        namespace = output.get("namespace")
        for call in reversed(calls):
            is_open = bool(self._open[call["type"], call["call_id"]])
            if is_open and namespace in (None, call.get("namespace")):
                return str(call["call_id"])
        return None

    def first_open(self) -> tuple[str, str] | None:
        """Return the id and the field of the first call without an output."""
        for (_, call_id), params in self._open.items():
            if params:
                return call_id, params[0]
        return None


def check_call_outputs(items: Sequence[dict[str, Any]], before: Sequence[dict[str, Any]]) -> None:
    """Raise a 400 for an output of a call that was never made, and for a call without an output.

    `before` are the items of the context, whose calls may be answered in `items`. An output without
    a `call_id` is given that of the latest unanswered call of the tool that it names.
    """
    calls = _Calls()
    for item in before:
        if item.get("type") in _CALLS:
            calls.add(item, "input")
        elif item.get("type") in CALL_OF_OUTPUT:
            calls.answer(item)
    for position, item in enumerate(items):
        if item.get("type") in _CALLS:
            calls.add(item, f"input[{position}].call_id")
        elif item.get("type") in CALL_OF_OUTPUT:
            _check_output(calls, item, position)
    if (unanswered := calls.first_open()) is not None:
        call_id, param = unanswered
        message = f"No tool output found for function call '{call_id}'."
        raise InvalidRequestError(message, param=param, code="missing_tool_output")


def _check_output(calls: _Calls, item: dict[str, Any], position: int) -> None:
    param = f"input[{position}].call_id"
    if "call_id" not in item:
        call_id = calls.latest_open(item)
        if call_id is None:
            name = qualified_name(item.get("namespace"), item.get("name", ""))
            message = f"It is missing, and there is no unanswered call of '{name}' before it."
            raise InvalidRequestError(message, param=param)
        item["call_id"] = call_id
    if not calls.answer(item):
        message = f"There is no function call with the call_id '{item['call_id']}' before it."
        raise InvalidRequestError(message, param=param)
