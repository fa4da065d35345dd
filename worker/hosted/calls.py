"""Calls that the server answers: the choice that makes one waits for the result, then goes on.

Of each kind there is a class here, for its events, and a function that runs it, in the table of
`worker/hosted/between_turns.py`.
"""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from models.schemas.item_events import SearchCompleted, SearchInProgress, SearchSearching
from models.schemas.parts import SearchResult
from models.schemas.tools.call_items import HostedType
from models.schemas.tools.mcp_items import McpCallCompleted, McpCallFailed, McpCallInProgress
from models.tools import web_search
from models.tools.citations import Citations
from models.tools.mcp.results import McpResult, parse_result
from models.tools.model_function import ModelFunction

Ended = Literal["completed", "failed"]


class HostedWriter(Protocol):
    """What writes the events of these calls: `models/events/resumable_writer.py`."""

    def open_hosted(self, kind: HostedType, **fields: Any) -> None:
        """Start an item of a tool that the server runs, after closing the open item."""

    def advance(self, kind: type[Any]) -> None:
        """Add the event of the next step of the open item."""

    def end_arguments(self) -> None:
        """End the arguments of the open item."""

    def close(self, status: Ended = ..., **changes: Any) -> None:
        """End the open item; `changes` are further fields of the final item."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedOutput:
    """Where the events of a choice's hosted calls go."""

    writer: HostedWriter
    citations: Citations
    shows_sources: bool = False
    """True if the action of a search lists the addresses that were found."""


class HostedCall(Protocol):
    """Complete call that the server answers."""

    def begin(self, output: HostedOutput) -> None:
        """Write the events up to the result."""

    def end(self, output: HostedOutput, result: str) -> None:
        """Write the events of the result, whose text the model reads."""


@dataclass(frozen=True, slots=True)
class SearchCall:
    """Search of the web."""

    query: str

    def begin(self, output: HostedOutput) -> None:
        """Write the item, and that the search is under way."""
        output.writer.open_hosted("web_search_call", action={"type": "search", "query": self.query})
        output.writer.advance(SearchInProgress)
        output.writer.advance(SearchSearching)

    def end(self, output: HostedOutput, result: str) -> None:
        """Write what was found, which the text after it may cite."""
        hits, error = web_search.parse_result(result)
        action: dict[str, Any] = {"type": "search", "query": self.query}
        if output.shows_sources:
            action["sources"] = [{"type": "url", "url": hit.url} for hit in hits]
        results = [SearchResult(url=hit.url, title=hit.title, text=hit.text) for hit in hits]
        if error is None:
            output.writer.advance(SearchCompleted)
        status: Ended = "completed" if error is None else "failed"
        output.writer.close(status, action=action, results=results)
        output.citations.add_hits(hits)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """Call of an MCP tool, whose item is open: its arguments are written as they come."""

    function: ModelFunction
    arguments: str
    """Arguments as the model has written them."""

    def begin(self, output: HostedOutput) -> None:
        """End the arguments."""
        output.writer.end_arguments()

    def end(self, output: HostedOutput, result: str) -> None:
        """Write the tool's answer."""
        end_mcp_call(output.writer, parse_result(result))


def begin_mcp_call(writer: HostedWriter, **fields: Any) -> None:
    """Write the item of a call of an MCP tool; its arguments follow."""
    writer.open_hosted("mcp_call", **fields)
    writer.advance(McpCallInProgress)


def end_mcp_call(writer: HostedWriter, result: McpResult) -> None:
    """Write the result of the open call of an MCP tool."""
    has_failed = result.error is not None
    writer.advance(McpCallFailed if has_failed else McpCallCompleted)
    writer.close("failed" if has_failed else "completed", **result.item_fields())
