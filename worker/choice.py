"""One of the `n` completions of a response: its tokens in, its text and events out."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from models.item_writer import ItemWriter
from models.wire.parts import TokenLogprob
from worker.engine import Delta, FinishReason, Logprobs
from worker.formats.thoughts import Kind
from worker.text import Sure, TextPipeline

Spell = Callable[[int, Logprobs], TokenLogprob]

_OF_THOUGHTS = (Kind.THOUGHT, Kind.TAG)

COMPLETE = frozenset({FinishReason.STOP, FinishReason.GRAMMAR})
"""The ends of a choice that was not cut off."""


class _Unshown(NamedTuple):
    """A token that no event accounts for yet."""

    token_id: int
    start: int
    """Where its text begins, in characters."""
    logprob: TokenLogprob | None


class Choice:
    """A sequence of the engine, written into the record as items of its own."""

    def __init__(
        self,
        sequence_id: str,
        writer: ItemWriter,
        pipeline: TextPipeline,
        *,
        spell: Spell,
        hides_thoughts: bool = False,
    ) -> None:
        """One that `hides_thoughts` shows no item of them, should there be any."""
        self.sequence_id = sequence_id
        self.num_cached = 0
        """Prompt tokens that were found in the prefix cache."""
        self.reason: FinishReason | None = None
        """Why it has ended, once it has."""
        self.error: str | None = None
        self.is_generating = True
        """Whether the engine has not ended its sequence, as far as is known."""
        self._writer = writer
        self._pipeline = pipeline
        self._spell = spell
        self._hides_thoughts = hides_thoughts
        self.num_thought = 0
        """Tokens that begin in a thought, tags included."""
        self._unshown: deque[_Unshown] = deque()

    def restore(self, token_ids: Sequence[int]) -> None:
        """Take up after an earlier attempt, whose events are on record.

        Whether its tokens were all there was to generate is for the engine to say, unless they
        have reached a stop string.
        """
        self._writer.rewind()
        starts: deque[int] = deque()
        for token_id in token_ids:
            starts.append(self._pipeline.num_decoded)
            sure, is_stopped = self._pipeline.add(token_id)
            for text in sure:
                while starts and starts[0] < text.end:
                    starts.popleft()
                    self.num_thought += text.kind in _OF_THOUGHTS
                self._say(text)
            if is_stopped:
                self.reason = FinishReason.STOP
                self.is_generating = False

    def open(self) -> None:
        """Begin its message, if it has none yet and what comes first is sure to be one."""
        if not self._pipeline.may_think:
            self._writer.add_text("")

    def advance(self, delta: Delta, *, is_released: bool) -> None:
        """Take one delta; what comes after its end is ignored."""
        self.is_generating &= delta.finish_reason is None
        if self.reason is not None:
            return
        self.num_cached = max(self.num_cached, delta.num_cached_tokens)
        is_stopped = delta.token_id is not None and self._add_token(delta.token_id, delta.logprobs)
        # The next attempt of one that is released shows what is held back.
        if not is_stopped and delta.finish_reason is not None and not is_released:
            is_stopped = self._show(*self._pipeline.flush())
        self.reason = FinishReason.STOP if is_stopped else delta.finish_reason
        self.error = delta.error

    def close(self) -> None:
        """End its items; the last event accounts for all of its tokens."""
        self._writer.note([each.token_id for each in self._unshown])
        self._unshown.clear()
        self._writer.close()

    def _add_token(self, token_id: int, logprobs: Logprobs | None) -> bool:
        logprob = None if logprobs is None else self._spell(token_id, logprobs)
        self._unshown.append(_Unshown(token_id, self._pipeline.num_decoded, logprob))
        return self._show(*self._pipeline.add(token_id))

    def _show(self, sure: list[Sure], is_stopped: bool) -> bool:
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

    def _say(self, text: Sure) -> None:
        if text.kind is Kind.ANSWER:
            self._writer.add_text(text.text)
        elif text.kind is Kind.THOUGHT and not self._hides_thoughts:
            self._writer.add_reasoning(text.text)
