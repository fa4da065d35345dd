"""One of the `n` completions of a response: its tokens in, its text and events out."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal, NamedTuple

from models.events.resumable_writer import ResumableWriter
from models.responses.tokens import complement
from models.schemas.item_events import SearchCompleted, SearchInProgress, SearchSearching
from models.schemas.parts import SearchResult, TokenLogprob
from models.tools.citations import Citations
from models.tools.web_search import parse_call, parse_result
from worker.engine.interface import Delta, FinishReason, Logprobs
from worker.parsing.segments import Kind
from worker.parsing.text_pipeline import ConfirmedText, TextPipeline
from worker.parsing.whole_calls import parse_function_call

Spell = Callable[[int, Logprobs], TokenLogprob]

_OF_THOUGHTS = (Kind.THOUGHT, Kind.TAG)

COMPLETE = frozenset({FinishReason.STOP, FinishReason.GRAMMAR})
"""The ends of a choice that was not cut off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputRules:
    """What a request wants to be shown."""

    hides_thoughts: bool = False
    """No item of thoughts, should there be any."""
    shows_sources: bool = False
    """The addresses that a search has found, in its action."""
    max_searches: int = 0
    """Of all choices together."""
    max_calls: int | None = None
    """Of functions, in each choice; it ends with the last."""
    functions: frozenset[str] = frozenset()
    """What may be called that the client runs."""


PLAIN_RULES = OutputRules()


class _Unshown(NamedTuple):
    """A token that no event accounts for yet."""

    token_id: int
    start: int
    """Where its text begins, in characters."""
    logprob: TokenLogprob | None


class Choice:
    """A sequence of the engine, written into the record as items of its own.

    Where it searches, each turn between two searches is another sequence to the engine.
    """

    def __init__(
        self,
        sequence_id: str,
        writer: ResumableWriter,
        pipeline: TextPipeline,
        *,
        spell: Spell,
        rules: OutputRules = PLAIN_RULES,
        may_call: Callable[[bool], bool],
    ) -> None:
        """`may_call` says whether there may be one call more, one of a search if it is true."""
        self._sequence_id = sequence_id
        self.num_cached = 0
        """Prompt tokens that were found in the prefix cache."""
        self.reason: FinishReason | None = None
        """Why it has ended, once it has."""
        self.error: str | None = None
        self.is_generating = True
        """Whether the engine has not ended its sequence, as far as is known."""
        self.query: str | None = None
        """What it waits to be told of, if it does."""
        self.num_searches = 0
        self.num_calls = 0
        """Functions that it has called."""
        self.opens_thought = pipeline.opens_thought
        """Whether what its turn goes on from ends within a thought."""
        self._turn = 0
        """How many searches it was told of."""
        self.num_thought = 0
        """Tokens that begin in a thought, tags included."""
        self._writer = writer
        self._pipeline = pipeline
        self._spell = spell
        self._rules = rules
        self._may_call = may_call
        self._citations = Citations()
        self._unshown: deque[_Unshown] = deque()

    @property
    def sequence_id(self) -> str:
        """The name of its sequence in the engine."""
        return f"{self._sequence_id}/{self._turn}" if self._turn else self._sequence_id

    @property
    def is_listening(self) -> bool:
        """Whether tokens that come now are its own."""
        return self.reason is None and self.query is None

    @property
    def num_found(self) -> int:
        """Pages that its searches have found."""
        return len(self._citations.hits)

    @property
    def turn(self) -> int:
        """Its turn, from 0; another begins after each search."""
        return self._turn

    def resume(self, token_ids: Sequence[int]) -> None:
        """Take up after an earlier attempt, whose events are on record.

        Whether its tokens were all there was to generate is for the engine to say, unless they
        have reached a stop string.
        """
        self._writer.rewind()
        for is_given, group in groupby(token_ids, key=lambda token_id: token_id < 0):
            if is_given:
                self._go_on([complement(token_id) for token_id in group])
            else:
                self._resume_turn(group)
        self.is_generating = self.reason is None

    def open(self) -> None:
        """Begin its message, if it has none yet and what comes first is sure to be one."""
        if self._pipeline.is_plain:
            self._writer.add_text("")

    def advance(self, delta: Delta, *, is_released: bool) -> None:
        """Take one delta; what comes after its end is ignored."""
        self.is_generating &= delta.finish_reason is None
        if not self.is_listening:
            return
        self.num_cached = max(self.num_cached, delta.num_cached_tokens)
        is_stopped = delta.token_id is not None and self._add_token(delta.token_id, delta.logprobs)
        if self.reason is not None:
            return
        if self.query is not None and delta.finish_reason in (None, *COMPLETE):
            return
        # The next attempt of one that is released shows what is held back.
        if not is_stopped and delta.finish_reason is not None and not is_released:
            is_stopped = self._show(*self._pipeline.flush())
        self.reason = FinishReason.STOP if is_stopped else delta.finish_reason
        self.error = delta.error

    def give(self, token_ids: Sequence[int]) -> None:
        """Tell it what was found: the tokens that its next turn goes on from."""
        self._writer.note([each.token_id for each in self._unshown])
        self._unshown.clear()
        self._writer.note([complement(token_id) for token_id in token_ids])
        self._go_on(token_ids)
        self.is_generating = True

    def cut(self, reason: FinishReason) -> None:
        """End it for a reason that the engine does not know."""
        self.reason, self.is_generating = reason, False

    def close(self) -> None:
        """End its items; the last event accounts for all of its tokens."""
        self._writer.note([each.token_id for each in self._unshown])
        self._unshown.clear()
        self._writer.close()

    def _resume_turn(self, token_ids: Iterable[int]) -> None:
        starts: deque[int] = deque()
        for token_id in token_ids:
            if not self.is_listening:
                continue
            starts.append(self._pipeline.num_decoded)
            sure, is_stopped = self._pipeline.add(token_id)
            for text in sure:
                while starts and starts[0] < text.end:
                    starts.popleft()
                    self.num_thought += text.kind in _OF_THOUGHTS
                self._say(text)
            if is_stopped:
                self.reason = FinishReason.STOP

    def _go_on(self, token_ids: Sequence[int]) -> None:
        hits, error = parse_result(self._pipeline.begin_turn(token_ids))
        self.opens_thought = self._pipeline.opens_thought
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
        logprob = None if logprobs is None else self._spell(token_id, logprobs)
        self._unshown.append(_Unshown(token_id, self._pipeline.num_decoded, logprob))
        return self._show(*self._pipeline.add(token_id))

    def _show(self, sure: list[ConfirmedText], is_stopped: bool) -> bool:
        """Record text with the tokens that have a part in it: others are generated again, should
        this attempt be lost, and none of a stop string has its log probability shown."""
        for text in sure:
            while self._unshown and self._unshown[0].start < text.end:
                token = self._unshown.popleft()
                logprob = token.logprob if text.kind is Kind.ANSWER else None
                self._writer.note([token.token_id], [logprob] if logprob else [])
                self.num_thought += text.kind in _OF_THOUGHTS
            self._say(text)
        return is_stopped

    def _say(self, text: ConfirmedText) -> None:
        if not self.is_listening:
            return
        match text.kind:
            case Kind.ANSWER:
                self._writer.add_text(text.text)
                for citation in self._citations.add(text.text):
                    self._writer.add_annotation(citation)
            case Kind.THOUGHT if not self._rules.hides_thoughts:
                self._writer.add_reasoning(text.text)
                self._citations.begin()
            case Kind.CALL:
                self._call(text)
            case Kind.CALL_BEGIN:
                self._begin_call(text.name)
            case Kind.ARGUMENTS:
                self._writer.add_arguments(text.text)
            case Kind.CALL_END:
                self._end_call()

    def _begin_call(self, name: str) -> None:
        if not self._may_call(False):
            self.reason = FinishReason.STOP
            return
        self.num_calls += 1
        self._citations.begin()
        self._writer.open_call(name)

    def _end_call(self) -> None:
        self._writer.close()
        if self._rules.max_calls is not None and self.num_calls >= self._rules.max_calls:
            self.reason = FinishReason.STOP

    def _call(self, text: ConfirmedText) -> None:
        """A call that was held back as a whole: one of a search, or in a spelling of its own."""
        function = parse_function_call(text.text, self._rules.functions)
        if function is not None:
            self._begin_call(function.name)
            if self.reason is None:
                self._writer.add_arguments(function.arguments)
                self._end_call()
            return
        query = parse_call(text.text) if self._rules.max_searches else None
        if query is None:
            self._writer.add_text(text.text)
        elif not self._may_call(True):
            self.reason = FinishReason.STOP
        else:
            self.query = query
            self.num_searches += 1
            self._writer.open_search({"type": "search", "query": query})
            self._writer.advance_search(SearchInProgress)
            self._writer.advance_search(SearchSearching)
            self._citations.begin()
