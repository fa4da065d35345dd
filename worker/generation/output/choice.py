"""One of the `n` completions of a response: turns its tokens into text and events."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from models.events.resumable_writer import ResumableWriter
from models.responses.tokens import complement
from models.schemas.parts import TokenLogprob
from models.tools.citations import Citations
from worker.engine.interface import Delta, FinishReason, Logprobs
from worker.generation.output.call_counter import CallCounter
from worker.generation.output.rules import PLAIN_RULES, OutputRules
from worker.generation.output.tool_calls import Outcome, ToolCallWriter
from worker.hosted.calls import HostedCall
from worker.parsing.segments import Kind
from worker.parsing.text_pipeline import ConfirmedText, TextPipeline

FormatLogprob = Callable[[int, Logprobs], TokenLogprob]
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
        counter: CallCounter,
    ) -> None:
        """Create a choice without tokens; `counter` counts the calls of all choices."""
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
        self._citations = Citations()
        self._calls = ToolCallWriter(writer, rules, citations=self._citations, counter=counter)
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
        self.call.end(self._calls.hosted_output, result)
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
                self._apply(self._calls.write_whole(text.text))
            case Kind.CALL_BEGIN:
                self._apply(self._calls.begin(text.name))
            case Kind.ARGUMENTS:
                self._calls.add_arguments(text.text if text.json is None else text.json)
            case Kind.CALL_END:
                self._apply(self._calls.end())

    def _apply(self, outcome: Outcome) -> None:
        """Wait for the result of a hosted call, or end."""
        if isinstance(outcome, FinishReason):
            self.reason = outcome
        else:
            self.call = outcome
