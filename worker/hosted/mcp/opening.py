"""What comes before the first token: lists of tools, and calls that the client has approved.

Each step is an item. Its result is noted among the tokens of the response
(`models/responses/notes.py`), so that a later attempt goes on with it; the items are then part of
the prompt.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, Protocol

from models.events.resumable_writer import ResumableWriter
from models.responses.notes import Note, NoteKind, parse_notes
from models.responses.tokens import GeneratedToken
from models.schemas.request.parameters import GenerationParameters
from models.schemas.request.tools import AllowedTools
from models.schemas.tools.mcp import McpTool
from models.schemas.tools.mcp_items import (
    ListedTool,
    McpListToolsCompleted,
    McpListToolsFailed,
    McpListToolsInProgress,
)
from models.tools.mcp.approvals import approved_calls
from models.tools.mcp.listing import Listed, lists_in
from models.tools.mcp.results import McpResult
from worker.hosted.calls import begin_mcp_call, end_mcp_call
from worker.hosted.mcp.client import IsAbandoned
from worker.hosted.mcp.errors import McpServerError
from worker.hosted.mcp.tools import McpRequest, McpTools

Item = dict[str, Any]
Tokens = Sequence[GeneratedToken]


class _Step(Protocol):
    """One item before the first token."""

    def begin(self, writer: ResumableWriter) -> None:
        """Write the events up to the result."""

    def run(self, tools: McpTools, lists: dict[str, list[Listed]], gone: IsAbandoned) -> Note:
        """Ask the server, and return a note of the result."""

    def end(self, writer: ResumableWriter, content: dict[str, Any]) -> Item:
        """Write the events of a noted result, and return the item for the prompt."""


@dataclass(frozen=True, slots=True)
class _ListStep:
    server_label: str

    def begin(self, writer: ResumableWriter) -> None:
        writer.open_hosted("mcp_list_tools", server_label=self.server_label)
        writer.advance(McpListToolsInProgress)

    def run(self, tools: McpTools, lists: dict[str, list[Listed]], gone: IsAbandoned) -> Note:
        del lists
        content: dict[str, Any] = {"tools": [], "error": None}
        try:
            content["tools"] = tools.list_tools(self.server_label, gone)
        except McpServerError as error:
            content["error"] = str(error)
        return Note(kind=NoteKind.TOOLS_LISTED, content=content)

    def end(self, writer: ResumableWriter, content: dict[str, Any]) -> Item:
        error = content["error"]
        writer.advance(McpListToolsFailed if error else McpListToolsCompleted)
        listed = [ListedTool(**tool) for tool in content["tools"]]
        writer.close("failed" if error else "completed", tools=listed, error=error)
        return {"type": "mcp_list_tools", "server_label": self.server_label, **content}


@dataclass(frozen=True, slots=True)
class _CallStep:
    request: Item
    """The approved `mcp_approval_request`."""
    number: int

    def begin(self, writer: ResumableWriter) -> None:
        begin_mcp_call(writer, **self._fields())
        writer.add_arguments(self.request["arguments"])
        writer.end_arguments()

    def run(self, tools: McpTools, lists: dict[str, list[Listed]], gone: IsAbandoned) -> Note:
        label = self.request["server_label"]
        request = McpRequest(
            server_label=label,
            name=self.request["name"],
            arguments=self.request["arguments"],
            number=self.number,
        )
        result = tools.call(request, lists.get(label, []), gone)
        return Note(kind=NoteKind.CALL_ENDED, content=result.to_json())

    def end(self, writer: ResumableWriter, content: dict[str, Any]) -> Item:
        result = McpResult(**content)
        end_mcp_call(writer, result)
        return {
            "type": "mcp_call",
            **self._fields(),
            "arguments": self.request["arguments"],
            "output": result.output,
            "error": result.error,
        }

    def _fields(self) -> dict[str, str]:
        return {
            "server_label": self.request["server_label"],
            "name": self.request["name"],
            "approval_request_id": self.request["id"],
        }


@dataclass(slots=True)
class McpOpening:
    """The steps before the first token, and how far they have come."""

    writer: ResumableWriter
    steps: list[_Step]
    context: Sequence[Item]
    items: list[Item] = field(default_factory=list)
    """Items of the steps that are done."""
    token_ids: list[int] = field(default_factory=list)
    """Notes of the steps that are done."""
    num_done: int = 0
    error: str | None = None
    """Why the response must fail, if it must: a server has not listed its tools."""

    @classmethod
    def plan(
        cls, writer: ResumableWriter, parameters: GenerationParameters, items: Sequence[Item]
    ) -> "McpOpening":
        """Return the steps that a request needs, which its context alone determines."""
        if parameters.is_warm_up:
            return cls(writer, [], items)
        lists: list[_Step] = [_ListStep(label) for label in _unlisted(parameters, items)]
        calls: list[_Step] = [
            _CallStep(request, number)
            for number, request in enumerate(approved_calls(items), start=1)
        ]
        return cls(writer, [*lists, *calls], items)

    @property
    def is_done(self) -> bool:
        """Return True if there is nothing left to be asked."""
        return self.error is not None or self.num_done == len(self.steps)

    def resume(self, logged: Tokens, unlogged: Tokens) -> tuple[Tokens, Tokens]:
        """Repeat the steps that earlier attempts have done; return the tokens after their notes."""
        if not self.steps:
            return logged, unlogged
        self.writer.rewind()
        for tokens, is_new in ((logged, False), (unlogged, True)):
            for note in parse_notes(_notes_of(tokens)):
                self.steps[self.num_done].begin(self.writer)
                self._end(note, is_new=is_new)
        self._end_if_done()
        return logged[len(_notes_of(logged)) :], unlogged[len(_notes_of(unlogged)) :]

    def run(
        self, tools: McpTools, flush: Callable[[], None], is_abandoned: IsAbandoned
    ) -> Iterator[list[int]]:
        """Do the steps that are left; yield the note of each, once it is written."""
        while not self.is_done:
            step = self.steps[self.num_done]
            step.begin(self.writer)
            flush()
            note = step.run(tools, lists_in([*self.context, *self.items]), is_abandoned)
            self._end(note, is_new=True)
            flush()
            yield note.token_ids()
        self._end_if_done()

    @property
    def num_calls(self) -> int:
        """Number of calls among the steps that are done."""
        return sum(isinstance(step, _CallStep) for step in self.steps[: self.num_done])

    def _end(self, note: Note, *, is_new: bool) -> None:
        """End the step that has begun with its result; its tokens are `is_new` to the log."""
        token_ids = note.token_ids()
        if is_new:
            self.writer.add_tokens(token_ids)
        item = self.steps[self.num_done].end(self.writer, note.content)
        self.items.append(item)
        self.token_ids += token_ids
        self.num_done += 1
        if item["type"] == "mcp_list_tools" and item["error"]:
            label = item["server_label"]
            self.error = f"The tools of MCP server '{label}' could not be listed: {item['error']}."

    def _end_if_done(self) -> None:
        if self.is_done:
            self.writer.end_opening()


def _notes_of(tokens: Tokens) -> list[int]:
    """Return the ids of the notes before the first token."""
    return [token.token_id for token in takewhile(lambda token: token.is_of_note, tokens)]


def _unlisted(parameters: GenerationParameters, items: Sequence[Item]) -> list[str]:
    """Return the labels of the servers whose tools the context does not list."""
    choice = parameters.tool_choice
    mode = choice.mode if isinstance(choice, AllowedTools) else choice
    if mode == "none":
        return []
    known = lists_in(items)
    labels = [tool.server_label for tool in parameters.tools if isinstance(tool, McpTool)]
    return [label for label in labels if label not in known]
