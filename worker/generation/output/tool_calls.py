"""Tool calls of one choice: written as items while they are generated, and counted."""

from typing import Any, Protocol

import orjson

from models.schemas.tools.call_items import CallType, HostedType
from models.tools.citations import Citations
from models.tools.model_function import ModelFunction
from models.tools.web_search import parse_call
from worker.engine.interface import FinishReason
from worker.generation.output.call_counter import CallCounter
from worker.generation.output.rules import OutputRules
from worker.hosted.calls import (
    HostedCall,
    HostedOutput,
    HostedWriter,
    SearchCall,
    ToolCall,
    begin_mcp_call,
)
from worker.parsing.whole_calls import parse_function_call

Outcome = HostedCall | FinishReason | None
"""Effect on the choice: it waits for a call's result, ends, or goes on."""

_WHOLE = ("tool_search_call", "mcp_approval_request")
"""Types of calls whose arguments no event has before the end of the call."""


class CallWriter(HostedWriter, Protocol):
    """Writer of the events of all calls: `models/events/resumable_writer.py`."""

    def open_call(self, kind: CallType, **fields: Any) -> None:
        """Start an item of a call that the client answers, after closing the open item."""

    def add_arguments(self, text: str) -> None:
        """Add text to the arguments of the open item."""

    def add_text(self, text: str) -> None:
        """Add text to the message, which is opened if need be."""


class ToolCallWriter:
    """Writes the tool calls of one choice."""

    def __init__(
        self,
        writer: CallWriter,
        rules: OutputRules,
        *,
        citations: Citations,
        counter: CallCounter,
    ) -> None:
        """Create a writer without calls; `counter` counts those of all choices."""
        self.hosted_output = HostedOutput(
            writer=writer, citations=citations, shows_sources=rules.shows_sources
        )
        self._writer = writer
        self._rules = rules
        self._citations = citations
        self._counter = counter
        self._num_calls = 0
        """Number of calls that the client answers."""
        self._function: ModelFunction | None = None
        """Function of the current call."""
        self._arguments: list[str] = []
        """Arguments of the current call, in pieces."""

    def begin(self, name: str) -> Outcome:
        """Begin the call of a function, unless no more calls are allowed."""
        function = self._rules.functions[name]
        hosted_type: HostedType | None = "mcp_call" if function.call_type == "mcp_call" else None
        if not self._counter.can_call(hosted_type):
            return FinishReason.STOP
        self._function, self._arguments = function, []
        self._citations.begin()
        self._counter.add(hosted_type)
        self._num_calls += hosted_type is None
        match function.call_type:
            case "mcp_call":
                begin_mcp_call(self._writer, **function.item_fields())
            case "function_call" | "custom_tool_call" | "tool_search_call":
                self._writer.open_call(function.call_type, **function.item_fields())
        return None

    def add_arguments(self, text: str) -> None:
        """Add text to the arguments of the current call."""
        assert self._function is not None
        self._arguments.append(text)
        if self._function.call_type not in _WHOLE:
            self._writer.add_arguments(text)

    def end(self) -> Outcome:
        """End the current call."""
        function, arguments = self._function, "".join(self._arguments)
        assert function is not None
        match function.call_type:
            case "mcp_call":
                return self._begin_hosted(ToolCall(function, arguments))
            case "mcp_approval_request":
                fields = function.item_fields()
                self._writer.open_hosted("mcp_approval_request", **fields, arguments=arguments)
                self._writer.close()
                # The client has to answer first.
                return FinishReason.STOP
            case "tool_search_call":
                self._writer.close(arguments=_parsed(arguments))
            case _:
                self._writer.close()
        if self._rules.max_calls is not None and self._num_calls >= self._rules.max_calls:
            return FinishReason.STOP
        return None

    def write_whole(self, text: str) -> Outcome:
        """Write a call that was parsed as a whole: a search, or a deviating function call."""
        function = parse_function_call(text, self._rules.functions)
        if function is not None:
            outcome = self.begin(function.name)
            if outcome is not None:
                return outcome
            self.add_arguments(function.arguments)
            return self.end()
        query = parse_call(text) if self._rules.max_hosted["web_search_call"] else None
        if query is None:
            self._writer.add_text(text)
            return None
        if not self._counter.can_call("web_search_call"):
            return FinishReason.STOP
        self._counter.add("web_search_call")
        self._citations.begin()
        return self._begin_hosted(SearchCall(query))

    def _begin_hosted(self, call: HostedCall) -> HostedCall:
        call.begin(self.hosted_output)
        return call


def _parsed(arguments: str) -> Any:
    """Return arguments as JSON; text that is none, as engines without grammars make, as it is."""
    try:
        return orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return arguments
