"""Incremental parser that separates reasoning from the answer; does no I/O.

Reasoning is expected at the beginning of a turn, and again after each piece of reasoning. A
`<think>` that occurs later, in the answer, is part of the answer.
"""

from enum import StrEnum

from models.profile.thinking import ThinkTags
from worker.parsing.segments import Kind, Segment, partial_tag_length


class _State(StrEnum):
    START = "start"
    OPENED = "opened"
    REASONING = "reasoning"
    ANSWER = "answer"


class ReasoningParser:
    """Splits text into reasoning, tags and answer.

    The texts of the segments add up to the text that was added, less what is still buffered.
    """

    def __init__(
        self, tags: ThinkTags | None, *, is_open: bool = False, answer_opener: str = ""
    ) -> None:
        """Create a parser for one turn; without tags all text is answer.

        `is_open`: the prompt ends within reasoning, so that no opening tag need be generated.
        There is no reasoning all the same if the turn begins with `answer_opener`.
        """
        self._tags = tags or ThinkTags("", "")
        self._answer_opener = answer_opener
        self._buffer = ""
        self._state = _State.START if tags else _State.ANSWER
        if tags and is_open:
            self._state = _State.OPENED
        self._is_after_reasoning = False

    def add(self, text: str) -> list[Segment]:
        """Add text and return the segments that have become certain."""
        self._buffer += text
        segments: list[Segment] = []
        while self._advance(segments):
            pass
        return segments

    def flush(self) -> list[Segment]:
        """Return the buffered text; call at the end of the text."""
        segments: list[Segment] = []
        if self._state is _State.START:
            self._emit(segments, self._kind_of_space(), self._num_leading_spaces())
            self._emit(segments, Kind.ANSWER, len(self._buffer))
        else:
            self._emit(segments, Kind.REASONING, len(self._buffer.rstrip()))
            self._emit(segments, Kind.TAG, len(self._buffer))
        return segments

    def _advance(self, segments: list[Segment]) -> bool:
        """Emit what is certain; return True if the rest of the buffer should be parsed again."""
        match self._state:
            case _State.START:
                return self._parse_opener(segments)
            case _State.OPENED:
                return self._parse_opened(segments)
            case _State.REASONING:
                return self._parse_until_closer(segments)
            case _State.ANSWER:
                self._emit(segments, Kind.ANSWER, len(self._buffer))
        return False

    def _parse_opener(self, segments: list[Segment]) -> bool:
        opener, num_space = self._tags.opener, self._num_leading_spaces()
        rest = self._buffer[num_space:]
        if rest.startswith(opener):
            self._emit(segments, Kind.TAG, num_space + len(opener))
            self._state = _State.OPENED
            return True
        if opener.startswith(rest):
            return False
        self._emit(segments, self._kind_of_space(), num_space)
        self._state = _State.ANSWER
        return True

    def _parse_opened(self, segments: list[Segment]) -> bool:
        if self._answer_opener:
            openers = (self._answer_opener, self._tags.opener)
            rest = self._buffer.lstrip()
            if not any(rest.startswith(opener) for opener in openers) and any(
                opener.startswith(rest) for opener in openers
            ):
                return False
            if rest.startswith(openers):
                self._state, self._answer_opener = _State.START, ""
                return True
        self._emit(segments, Kind.TAG, self._num_leading_spaces())
        self._state = _State.REASONING if self._buffer else _State.OPENED
        return bool(self._buffer)

    def _parse_until_closer(self, segments: list[Segment]) -> bool:
        closer = self._tags.closer
        end = self._buffer.find(closer)
        if end < 0:
            certain = self._buffer[: len(self._buffer) - partial_tag_length(self._buffer, closer)]
            self._emit(segments, Kind.REASONING, len(certain.rstrip()))
            return False
        self._emit(segments, Kind.REASONING, len(self._buffer[:end].rstrip()))
        self._emit(segments, Kind.TAG, self._buffer.index(closer) + len(closer))
        self._state, self._is_after_reasoning = _State.START, True
        return True

    def _num_leading_spaces(self) -> int:
        return len(self._buffer) - len(self._buffer.lstrip())

    def _kind_of_space(self) -> Kind:
        return Kind.SPACE if self._is_after_reasoning else Kind.ANSWER

    def _emit(self, segments: list[Segment], kind: Kind, length: int) -> None:
        if length:
            segments.append(Segment(kind, self._buffer[:length]))
            self._buffer = self._buffer[length:]
