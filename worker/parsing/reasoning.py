"""Tells what a model thinks from what it answers, however the text is cut into pieces; pure.

A thought is looked for where a turn begins, and again after each thought: an answer that speaks of
`<think>` later on is an answer.
"""

from enum import StrEnum

from models.profile.thinking import ThinkTags
from worker.parsing.segments import Kind, Segment, begun


class _Place(StrEnum):
    START = "start"
    OPENED = "opened"
    THOUGHT = "thought"
    ANSWER = "answer"


class ReasoningParser:
    """The pieces add up to the text that was given, less what is held back."""

    def __init__(self, tags: ThinkTags | None, *, is_open: bool = False) -> None:
        """`is_open`: the prompt ends within a thought. Without tags all text is an answer."""
        self._tags = tags or ThinkTags("", "")
        self._held = ""
        self._place = _Place.START if tags else _Place.ANSWER
        if tags and is_open:
            self._place = _Place.OPENED
        self._is_after_thought = False

    def add(self, text: str) -> list[Segment]:
        """The pieces that have become sure."""
        self._held += text
        pieces: list[Segment] = []
        while self._advance(pieces):
            pass
        return pieces

    def flush(self) -> list[Segment]:
        """What was held back, for the end of the text."""
        pieces: list[Segment] = []
        if self._place is _Place.START:
            self._put(pieces, self._kind_of_space(), self._num_leading())
            self._put(pieces, Kind.ANSWER, len(self._held))
        else:
            self._put(pieces, Kind.THOUGHT, len(self._held.rstrip()))
            self._put(pieces, Kind.TAG, len(self._held))
        return pieces

    def _advance(self, pieces: list[Segment]) -> bool:
        """Take what is sure; True if what is left may be too."""
        match self._place:
            case _Place.START:
                return self._look_for_opener(pieces)
            case _Place.OPENED:
                self._put(pieces, Kind.TAG, self._num_leading())
                self._place = _Place.THOUGHT if self._held else _Place.OPENED
                return bool(self._held)
            case _Place.THOUGHT:
                return self._look_for_closer(pieces)
            case _Place.ANSWER:
                self._put(pieces, Kind.ANSWER, len(self._held))
        return False

    def _look_for_opener(self, pieces: list[Segment]) -> bool:
        opener, num_space = self._tags.opener, self._num_leading()
        rest = self._held[num_space:]
        if rest.startswith(opener):
            self._put(pieces, Kind.TAG, num_space + len(opener))
            self._place = _Place.OPENED
            return True
        if opener.startswith(rest):
            return False
        self._put(pieces, self._kind_of_space(), num_space)
        self._place = _Place.ANSWER
        return True

    def _look_for_closer(self, pieces: list[Segment]) -> bool:
        closer = self._tags.closer
        end = self._held.find(closer)
        if end < 0:
            sure = self._held[: len(self._held) - begun(self._held, closer)]
            self._put(pieces, Kind.THOUGHT, len(sure.rstrip()))
            return False
        self._put(pieces, Kind.THOUGHT, len(self._held[:end].rstrip()))
        self._put(pieces, Kind.TAG, self._held.index(closer) + len(closer))
        self._place, self._is_after_thought = _Place.START, True
        return True

    def _num_leading(self) -> int:
        return len(self._held) - len(self._held.lstrip())

    def _kind_of_space(self) -> Kind:
        return Kind.SPACE if self._is_after_thought else Kind.ANSWER

    def _put(self, pieces: list[Segment], kind: Kind, length: int) -> None:
        if length:
            pieces.append(Segment(kind, self._held[:length]))
            self._held = self._held[length:]
