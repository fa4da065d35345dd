"""One of the `n` completions of a response: turns its tokens into text and events."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import orjson

from models.events.resumable_writer import ResumableWriter
from models.responses.tokens import complement
from models.schemas.parts import TokenLogprob
from models.schemas.tools.call_items import HostedType
from models.tools.citations import Citations
from models.tools.model_function import ModelFunction
from models.tools.web_search import parse_call
from worker.engine.interface import Delta, FinishReason, Logprobs
from worker.generation.output.rules import PLAIN_RULES, OutputRules
from worker.hosted.calls import HostedCall, HostedOutput, SearchCall, ToolCall, begin_mcp_call
from worker.parsing.segments import Kind
from worker.parsing.text_pipeline import ConfirmedText, TextPipeline
from worker.parsing.whole_calls import parse_function_call

FormatLogprob = Callable[[int, Logprobs], TokenLogprob]
CanCall = Callable[[HostedType | None], bool]
"""Function that returns True if the limits allow one more call.

Its argument is the type of the item of a call that the server answers, None for any other.
"""

_WHOLE = ("tool_search_call", "mcp_approval_request")
"""Types of calls whose arguments no event has before the end of the call."""

_REASONING_KINDS = (Kind.REASONING, Kind.TAG)

COMPLETE = frozenset({FinishReason.STOP, FinishReason.GRAMMAR})
"""Finish reasons of a choice that was not cut off."""


class _PendingToken(NamedTuple):
    """Token whose text is in no event yet."""

    token_id: int
    start: int
    """Position of its text in the sequence, in characters."""
    logprob: TokenLogprob | None


class Choice:
    """One completion of a response, recorded as output items of its own.

    Each turn, which ends with a call that the server answers, is a separate sequence of the engine.
    """

    def __init__(
        self,
        sequence_id: str,
        writer: ResumableWriter,
        pipeline: TextPipeline,
        *,
        format_logprob: FormatLogprob,
        rules: OutputRules = PLAIN_RULES,
        can_call: CanCall,
    ) -> None:
        """Create a choice without tokens; `can_call` returns True if one more call is allowed."""
        self._sequence_id = sequence_id
        self.num_cached = 0
        """Number of prompt tokens found in the prefix cache."""
        self.reason: FinishReason | None = None
        """Finish reason; None until it has ended."""
        self.error: str | None = None
        self.is_generating = True
        """True if the engine may still run its sequence."""
        self.call: HostedCall | None = None
        """Call whose result it waits for, if it does."""
        self.num_hosted: Counter[HostedType] = Counter()
        """Number of its calls that the server answers, by the type of their items."""
        self.num_calls = 0
        """Number of its calls that the client answers."""
        self.opens_reasoning = pipeline.opens_reasoning
        """True if the text before its current turn ends within reasoning."""
        self._turn = 0
        """Number of results of hosted calls that it has received."""
        self.num_reasoning_tokens = 0
        """Number of tokens that begin within reasoning, tags included."""
        self._writer = writer
        self._pipeline = pipeline
        self._format_logprob = format_logprob
        self._rules = rules
        self._can_call = can_call
        self._citations = Citations()
        self._hosted = HostedOutput(
            writer=writer, citations=self._citations, shows_sources=rules.shows_sources
        )
        self._function: ModelFunction | None = None
        """Function of the current call."""
        self._arguments: list[str] = []
        """Arguments of the current call, in pieces."""
        self._pending: deque[_PendingToken] = deque()

    @property
    def sequence_id(self) -> str:
        """Id of its current sequence in the engine."""
        return f"{self._sequence_id}/{self._turn}" if self._turn else self._sequence_id

    @property
    def is_accepting(self) -> bool:
        """Return True if it has not ended and does not wait for the result of a call.

        Spelled out where every token passes: a property is a call.
        """
        return self.reason is None and self.call is None

    @property
    def num_hits(self) -> int:
        """Number of pages that its searches have found."""
        return len(self._citations.hits)

    @property
    def turn(self) -> int:
        """Number of its current turn, from 0; each result of a hosted call begins another."""
        return self._turn

    def resume(self, token_ids: Sequence[int]) -> None:
        """Continue after the tokens of an earlier attempt, whose events are already recorded.

        Only a stop string ends it here; any other end of its tokens is for the engine to find.
        """
        self._writer.rewind()
        for is_given, group in groupby(token_ids, key=lambda token_id: token_id < 0):
            if is_given:
                self._begin_turn([complement(token_id) for token_id in group])
            else:
                self._resume_turn(group)
        self.is_generating = self.reason is None

    def open(self) -> None:
        """Begin its message unless it has one or other items may come first."""
        if self._pipeline.is_plain:
            self._writer.add_text("")

    def advance(self, delta: Delta, *, is_released: bool) -> None:
        """Process one delta; deltas after the end are ignored."""
        self.is_generating &= delta.finish_reason is None
        if self.reason is not None or self.call is not None:
            return
        self.num_cached = max(self.num_cached, delta.num_cached_tokens)
        is_stopped = delta.token_id is not None and self._add_token(delta.token_id, delta.logprobs)
        if self.reason is not None:
            return
        if self.call is not None and delta.finish_reason in (None, *COMPLETE):
            return
        # The buffered text of a released response is shown by its next attempt.
        if not is_stopped and delta.finish_reason is not None and not is_released:
            is_stopped = self._record(*self._pipeline.flush())
            if self.call is not None and delta.finish_reason in COMPLETE:
                return
        self.reason = FinishReason.STOP if is_stopped else delta.finish_reason
        self.error = delta.error

    def add_result(self, token_ids: Sequence[int]) -> None:
        """Insert the tokens of the result that it waits for, after which its next turn begins."""
        self._writer.add_tokens([token.token_id for token in self._pending])
        self._pending.clear()
        self._writer.add_tokens([complement(token_id) for token_id in token_ids])
        self._begin_turn(token_ids)
        self.is_generating = True

    def finish(self, reason: FinishReason) -> None:
        """End it for a reason that does not come from the engine."""
        self.reason, self.is_generating = reason, False

    def close(self) -> None:
        """Close its items; the last event carries all of its remaining tokens."""
        self._writer.add_tokens([token.token_id for token in self._pending])
        self._pending.clear()
        self._writer.close()

    def _resume_turn(self, token_ids: Iterable[int]) -> None:
        starts: deque[int] = deque()
        for token_id in token_ids:
            if not self.is_accepting:
                continue
            starts.append(self._pipeline.num_decoded)
            confirmed, is_stopped = self._pipeline.add(token_id)
            for text in confirmed:
                while starts and starts[0] < text.end:
                    starts.popleft()
                    self.num_reasoning_tokens += text.kind in _REASONING_KINDS
                self._write(text)
            if is_stopped:
                self.reason = FinishReason.STOP

    def _begin_turn(self, token_ids: Sequence[int]) -> None:
        if self.call is None:
            # The call ended with the turn, and not with its closing tag.
            self._record(*self._pipeline.flush())
        assert self.call is not None
        result = self._pipeline.begin_turn(token_ids)
        self.opens_reasoning = self._pipeline.opens_reasoning
        self.call.end(self._hosted, result)
        self.call = None
        self._turn += 1

    def _add_token(self, token_id: int, logprobs: Logprobs | None) -> bool:
        logprob = None if logprobs is None else self._format_logprob(token_id, logprobs)
        self._pending.append(_PendingToken(token_id, self._pipeline.num_decoded, logprob))
        return self._record(*self._pipeline.add(token_id))

    def _record(self, confirmed: list[ConfirmedText], is_stopped: bool) -> bool:
        """Record text together with the tokens that it comes from; return `is_stopped`.

        Tokens without recorded text are generated again if this attempt is lost. No token of a stop
        string has its log probability shown.
        """
        for text in confirmed:
            while self._pending and self._pending[0].start < text.end:
                token = self._pending.popleft()
                logprob = token.logprob if text.kind is Kind.ANSWER else None
                self._writer.add_tokens([token.token_id], [logprob] if logprob else [])
                self.num_reasoning_tokens += text.kind in _REASONING_KINDS
            self._write(text)
        return is_stopped

    def _write(self, text: ConfirmedText) -> None:
        if self.reason is not None or self.call is not None:
            return
        match text.kind:
            case Kind.ANSWER:
                self._writer.add_text(text.text)
                # Without hits nothing can be cited; each turn's message counts from its own start.
                if self._citations.hits:
                    for citation in self._citations.add(text.text):
                        self._writer.add_annotation(citation)
            case Kind.REASONING if not self._rules.hides_reasoning:
                self._writer.add_reasoning(text.text)
                self._citations.begin()
            case Kind.CALL:
                self._write_whole_call(text)
            case Kind.CALL_BEGIN:
                self._begin_call(text.name)
            case Kind.ARGUMENTS:
                self._add_arguments(text.text)
            case Kind.CALL_END:
                self._end_call()

    def _begin_call(self, name: str) -> None:
        function = self._rules.functions[name]
        is_hosted = function.call_type == "mcp_call"
        if not self._can_call("mcp_call" if is_hosted else None):
            self.reason = FinishReason.STOP
            return
        self._function, self._arguments = function, []
        self._citations.begin()
        self.num_calls += not is_hosted
        match function.call_type:
            case "mcp_call":
                self.num_hosted["mcp_call"] += 1
                begin_mcp_call(self._writer, **function.item_fields())
            case "function_call" | "custom_tool_call" | "tool_search_call":
                self._writer.open_call(function.call_type, **function.item_fields())

    def _add_arguments(self, text: str) -> None:
        assert self._function is not None
        self._arguments.append(text)
        if self._function.call_type not in _WHOLE:
            self._writer.add_arguments(text)

    def _end_call(self) -> None:
        function, arguments = self._function, "".join(self._arguments)
        assert function is not None
        match function.call_type:
            case "mcp_call":
                self._wait_for(ToolCall(function, arguments))
                return
            case "mcp_approval_request":
                fields = function.item_fields()
                self._writer.open_hosted("mcp_approval_request", **fields, arguments=arguments)
                self._writer.close()
                # The client has to answer first.
                self.reason = FinishReason.STOP
                return
            case "tool_search_call":
                self._writer.close(arguments=_parsed(arguments))
            case _:
                self._writer.close()
        if self._rules.max_calls is not None and self.num_calls >= self._rules.max_calls:
            self.reason = FinishReason.STOP

    def _wait_for(self, call: HostedCall) -> None:
        """Wait for the result of a call that the server answers."""
        call.begin(self._hosted)
        self.call = call

    def _write_whole_call(self, text: ConfirmedText) -> None:
        """Write a call that was parsed as a whole: a search, or a deviating function call."""
        function = parse_function_call(text.text, self._rules.functions)
        if function is not None:
            self._begin_call(function.name)
            if self.reason is None:
                self._add_arguments(function.arguments)
                self._end_call()
            return
        query = parse_call(text.text) if self._rules.max_hosted["web_search_call"] else None
        if query is None:
            self._writer.add_text(text.text)
        elif not self._can_call("web_search_call"):
            self.reason = FinishReason.STOP
        else:
            self.num_hosted["web_search_call"] += 1
            self._citations.begin()
            self._wait_for(SearchCall(query))


def _parsed(arguments: str) -> Any:
    """Return arguments as JSON; text that is none, as engines without grammars make, as it is."""
    try:
        return orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return arguments
