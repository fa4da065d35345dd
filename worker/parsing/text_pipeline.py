"""Pipeline from token ids to segments that may be shown.

It detokenizes to whole code points, separates reasoning and tool calls from the answer, and removes
stop strings.
"""

from collections.abc import Sequence
from typing import NamedTuple

from worker.engine.interface import Tokenizer
from worker.parsing.segments import Kind, Segment
from worker.parsing.stop import StopMatcher
from worker.parsing.turns import TurnFormat

PLAIN = TurnFormat()
"""Format of output that is all answer."""

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

# Most bytes of an incomplete UTF-8 character, each of which a tokenizer may decode to one
# replacement character.
_MAX_UNFINISHED = 3

# After so many tokens the bytes are simply not UTF-8; waiting on would decode ever longer windows.
_MAX_PENDING = 64


def replace_nul(text: str) -> str:
    """Return the text with NUL, which Postgres cannot store, replaced by U+FFFD."""
    return text.replace("\0", _REPLACEMENT)


class ConfirmedText(NamedTuple):
    """Segment that no later token can change."""

    kind: Kind
    text: str
    end: int
    """End of the segment in the text of the sequence, in characters."""
    name: str = ""
    """Name of the function, for `CALL_BEGIN`."""
    json: str | None = None
    """Arguments as clients get them; None if the text is them."""


class Detokenizer:
    """Incremental decoder that never emits part of a character.

    It decodes a window of recent tokens. The window starts with tokens whose text was already
    returned, because the spaces that a tokenizer writes depend on the tokens before.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.reset()

    def reset(self) -> None:
        """Forget all tokens and drop buffered text."""
        self._window: list[int] = []
        self._num_context = 0
        self._num_emitted = 0
        """Characters of the window's text that have been returned, its context included."""

    def decode(self, token_id: int) -> str:
        """Return the text that the token completes; it may be empty."""
        self._window.append(token_id)
        text = self._tokenizer.decode(self._window)
        tail = text[-_MAX_UNFINISHED:]
        num_unfinished = len(tail) - len(tail.rstrip(_REPLACEMENT))
        new = text[self._num_emitted : len(text) - num_unfinished]
        is_overdue = len(self._window) - self._num_context >= _MAX_PENDING
        if is_overdue:
            new = text[self._num_emitted :]
        self._num_emitted += len(new)
        if is_overdue or (new and not num_unfinished):
            del self._window[: self._num_context]
            self._num_context = len(self._window)
            self._num_emitted = len(self._tokenizer.decode(self._window))
        return new

    def decode_rest(self) -> str:
        """Return the buffered text; call at the end of the sequence."""
        new = self._tokenizer.decode(self._window)[self._num_emitted :]
        self._num_emitted += len(new)
        return new


class TextPipeline(Detokenizer):
    """Parser of one sequence's tokens; counts its text in characters.

    Stop strings are matched in the answer alone.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        stop: list[str],
        turn_format: TurnFormat = PLAIN,
        *,
        opens_reasoning: bool = False,
    ) -> None:
        """Create a pipeline; `opens_reasoning`: the prompt ends within reasoning."""
        super().__init__(tokenizer)
        self._stop = stop
        self._format = turn_format
        self.is_plain = turn_format.is_plain
        self._is_verbatim = self.is_plain and not stop
        """True if all text is answer and confirmed at once: nothing is parsed."""
        self.num_decoded = 0
        """Characters decoded so far, buffered ones included."""
        self._num_confirmed = 0
        self._begin(opens_reasoning)

    def add(self, token_id: int) -> tuple[list[ConfirmedText], bool]:
        """Return the newly confirmed text, and True if a stop string was reached."""
        decoded = self.decode(token_id)
        if not self._is_verbatim:
            return self._match(self._parse(decoded))
        if not decoded:
            return [], False
        self.num_decoded += len(decoded)
        self._num_confirmed += len(decoded)
        return [ConfirmedText(Kind.ANSWER, replace_nul(decoded), self._num_confirmed)], False

    def flush(self) -> tuple[list[ConfirmedText], bool]:
        """Return the text still buffered at the end, and True if it held a stop string."""
        segments = self._parse(self.decode_rest())
        confirmed, is_stopped = self._match([*segments, *self._parser.flush()])
        if not is_stopped:
            self._confirm(confirmed, Kind.ANSWER, self._stop_matcher.flush())
        return confirmed, is_stopped

    def begin_turn(self, token_ids: Sequence[int]) -> str:
        """Begin a turn after given tokens, which were not generated; return their text.

        Buffered text is dropped.
        """
        text = self._tokenizer.decode(list(token_ids))
        self._num_confirmed = self.num_decoded
        self._begin(self._format.opens_reasoning(text))
        return text

    def _begin(self, opens_reasoning: bool) -> None:
        self.opens_reasoning = opens_reasoning
        self.reset()
        self._parser = self._format.parser(opens_reasoning=opens_reasoning)
        self._stop_matcher = StopMatcher(self._stop)

    def _parse(self, decoded: str) -> list[Segment]:
        self.num_decoded += len(decoded)
        return self._parser.add(replace_nul(decoded))

    def _match(self, segments: list[Segment]) -> tuple[list[ConfirmedText], bool]:
        confirmed: list[ConfirmedText] = []
        for segment in segments:
            kind, text = segment.kind, segment.text
            if kind is not Kind.ANSWER:
                self._confirm(confirmed, Kind.ANSWER, self._stop_matcher.flush())
                self._confirm_segment(confirmed, segment)
                continue
            shown, is_stopped = self._stop_matcher.add(text)
            self._confirm(confirmed, kind, shown)
            if is_stopped:
                return confirmed, True
        return confirmed, False

    def _confirm(self, confirmed: list[ConfirmedText], kind: Kind, text: str) -> None:
        if text:
            self._num_confirmed += len(text)
            confirmed.append(ConfirmedText(kind, text, self._num_confirmed))

    def _confirm_segment(self, confirmed: list[ConfirmedText], segment: Segment) -> None:
        kind, text, name, json = segment.kind, segment.text, segment.name, segment.json
        self._num_confirmed += len(text)
        confirmed.append(ConfirmedText(kind, text, self._num_confirmed, name, json))
