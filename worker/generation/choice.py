"""One of the `n` completions of a response: turns its tokens into text and events."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Literal, NamedTuple

import orjson

from models.events.resumable_writer import ResumableWriter
from models.responses.tokens import complement
from models.schemas.item_events import SearchCompleted, SearchInProgress, SearchSearching
from models.schemas.parts import SearchResult, TokenLogprob
from models.tools.citations import Citations
from models.tools.model_function import ModelFunction
from models.tools.web_search import parse_call, parse_result
from worker.engine.interface import Delta, FinishReason, Logprobs
from worker.parsing.segments import Kind
from worker.parsing.text_pipeline import ConfirmedText, TextPipeline
from worker.parsing.whole_calls import parse_function_call

FormatLogprob = Callable[[int, Logprobs], TokenLogprob]

_REASONING_KINDS = (Kind.REASONING, Kind.TAG)

COMPLETE = frozenset({FinishReason.STOP, FinishReason.GRAMMAR})
"""Finish reasons of a choice that was not cut off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputRules:
    """Limits of a response's tool calls, and the parts of its output that are shown."""

    hides_reasoning: bool = False
    """True if reasoning items are left out of the output."""
    shows_sources: bool = False
    """True if the action of a search lists the addresses that were found."""
    max_searches: int = 0
    """Most searches of all choices together."""
    max_calls: int | None = None
    """Most function calls of each choice, which ends after the last; None sets no limit."""
    functions: Mapping[str, ModelFunction] = field(default_factory=dict)
    """Functions that may be called and that the client runs, by name."""


PLAIN_RULES = OutputRules()


class _PendingToken(NamedTuple):
    """Token whose text is in no event yet."""

    token_id: int
    start: int
    """Position of its text in the sequence, in characters."""
    logprob: TokenLogprob | None


class Choice:
    """One completion of a response, recorded as output items of its own.

    Each turn, which ends with a search, is a separate sequence of the engine.
    """

    def __init__(
        self,
        sequence_id: str,
        writer: ResumableWriter,
        pipeline: TextPipeline,
        *,
        format_logprob: FormatLogprob,
        rules: OutputRules = PLAIN_RULES,
        can_call: Callable[[bool], bool],
    ) -> None:
        """Create a choice without tokens.

        `can_call` returns True if one more tool call is allowed; its argument is True for a search.
        """
        self._sequence_id = sequence_id
        self.num_cached = 0
        """Number of prompt tokens found in the prefix cache."""
        self.reason: FinishReason | None = None
        """Finish reason; None until it has ended."""
        self.error: str | None = None
        self.is_generating = True
        """True if the engine may still run its sequence."""
        self.query: str | None = None
        """Query of the search whose result it waits for, if it does."""
        self.num_searches = 0
        self.num_calls = 0
        """Number of its function calls."""
        self.opens_reasoning = pipeline.opens_reasoning
        """True if the text before its current turn ends within reasoning."""
        self._turn = 0
        """Number of search results it has received."""
        self.num_reasoning_tokens = 0
        """Number of tokens that begin within reasoning, tags included."""
        self._writer = writer
        self._pipeline = pipeline
        self._format_logprob = format_logprob
        self._rules = rules
        self._can_call = can_call
        self._citations = Citations()
        self._whole_arguments: list[str] | None = None
        """Arguments of the current call, if no event has them before its end."""
        self._pending: deque[_PendingToken] = deque()

    @property
    def sequence_id(self) -> str:
        """Id of its current sequence in the engine."""
        return f"{self._sequence_id}/{self._turn}" if self._turn else self._sequence_id

    @property
    def is_accepting(self) -> bool:
        """Return True if it has not ended and does not wait for a search.

        Spelled out where every token passes: a property is a call.
        """
        return self.reason is None and self.query is None

    @property
    def num_hits(self) -> int:
        """Number of pages that its searches have found."""
        return len(self._citations.hits)

    @property
    def turn(self) -> int:
        """Number of its current turn, from 0; each search result begins another."""
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
        if self.reason is not None or self.query is not None:
            return
        self.num_cached = max(self.num_cached, delta.num_cached_tokens)
        is_stopped = delta.token_id is not None and self._add_token(delta.token_id, delta.logprobs)
        if self.reason is not None:
            return
        if self.query is not None and delta.finish_reason in (None, *COMPLETE):
            return
        # The buffered text of a released response is shown by its next attempt.
        if not is_stopped and delta.finish_reason is not None and not is_released:
            is_stopped = self._record(*self._pipeline.flush())
        self.reason = FinishReason.STOP if is_stopped else delta.finish_reason
        self.error = delta.error

    def add_search_result(self, token_ids: Sequence[int]) -> None:
        """Insert the tokens of a search result, after which its next turn begins."""
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
        hits, error = parse_result(self._pipeline.begin_turn(token_ids))
        self.opens_reasoning = self._pipeline.opens_reasoning
        action: dict[str, Any] = {"type": "search", "query": self.query}
        if self._rules.shows_sources:
            action["sources"] = [{"type": "url", "url": hit.url} for hit in hits]
        results = [SearchResult(url=hit.url, title=hit.title, text=hit.text) for hit in hits]
        if error is None:
            self._writer.advance_search(SearchCompleted)
        status: Literal["completed", "failed"] = "completed" if error is None else "failed"
        self._writer.close(status, action=action, results=results)
        self._citations.add_hits(hits)
        self.query = None
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
        if self.reason is not None or self.query is not None:
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
        if not self._can_call(False):
            self.reason = FinishReason.STOP
            return
        self.num_calls += 1
        self._citations.begin()
        function = self._rules.functions[name]
        self._whole_arguments = [] if function.call_type == "tool_search_call" else None
        self._writer.open_call(function.call_type, **function.item_fields())

    def _add_arguments(self, text: str) -> None:
        if self._whole_arguments is None:
            self._writer.add_arguments(text)
        else:
            self._whole_arguments.append(text)

    def _end_call(self) -> None:
        if self._whole_arguments is None:
            self._writer.close()
        else:
            self._writer.close(arguments=_parsed("".join(self._whole_arguments)))
        if self._rules.max_calls is not None and self.num_calls >= self._rules.max_calls:
            self.reason = FinishReason.STOP

    def _write_whole_call(self, text: ConfirmedText) -> None:
        """Write a call that was parsed as a whole: a search, or a deviating function call."""
        function = parse_function_call(text.text, self._rules.functions)
        if function is not None:
            self._begin_call(function.name)
            if self.reason is None:
                self._add_arguments(function.arguments)
                self._end_call()
            return
        query = parse_call(text.text) if self._rules.max_searches else None
        if query is None:
            self._writer.add_text(text.text)
        elif not self._can_call(True):
            self.reason = FinishReason.STOP
        else:
            self.query = query
            self.num_searches += 1
            self._writer.open_search({"type": "search", "query": query})
            self._writer.advance_search(SearchInProgress)
            self._writer.advance_search(SearchSearching)
            self._citations.begin()


def _parsed(arguments: str) -> Any:
    """Return arguments as JSON; text that is none, as engines without grammars make, as it is."""
    try:
        return orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return arguments
