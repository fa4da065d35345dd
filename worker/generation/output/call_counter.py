"""Number of tool calls of one response, of all its choices together, and its limits."""

from collections import Counter

from models.schemas.tools.call_items import HostedType


class CallCounter:
    """Counts the calls of a response."""

    def __init__(self, max_hosted: Counter[HostedType], max_tool_calls: int | None) -> None:
        """Begin with no calls.

        `max_hosted` are the most calls that the server answers, by the type of their items, and
        `max_tool_calls` the most of all calls; None sets no limit.
        """
        self.num_hosted: Counter[HostedType] = Counter()
        """Number of calls that the server has answered or is answering, by type."""
        self._num_calls = 0
        self._max_hosted = max_hosted
        self._max_tool_calls = max_tool_calls

    def can_call(self, item_type: HostedType | None) -> bool:
        """Return True if the limits allow one more call.

        `item_type` is the type of the item of a call that the server answers, None for any other.
        """
        if item_type is not None and self.num_hosted[item_type] >= self._max_hosted[item_type]:
            return False
        return self._max_tool_calls is None or self._num_calls < self._max_tool_calls

    def add(self, item_type: HostedType | None, num_calls: int = 1) -> None:
        """Count calls of one type."""
        self._num_calls += num_calls
        if item_type is not None:
            self.num_hosted[item_type] += num_calls
