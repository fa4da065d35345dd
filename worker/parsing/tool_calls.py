"""Tells calls of tools from the answer around them, however the text is cut into pieces; pure.

A call of a function is told as it is written, its arguments in pieces. Any other, one of the
server's tools or one that is written in another way, is one piece with its tags.
"""

from collections.abc import Collection
from enum import StrEnum

from models.profile.call_format import GENERIC, CallFormat
from worker.parsing.call_patterns import patterns_of
from worker.parsing.json_object import ObjectEnd
from worker.parsing.segments import Kind, Segment, begun

MAX_CALL = 8192
"""Characters that are held back until they are known to be a call; what is longer is none."""


class _Place(StrEnum):
    TEXT = "text"
    ARGUMENTS = "arguments"
    TAIL = "tail"
    BETWEEN = "between"


class ToolCallParser:
    """The pieces add up to the text that was given, less what is held back."""

    def __init__(self, form: CallFormat = GENERIC, functions: Collection[str] = ()) -> None:
        """`functions` may be called; what names another is a call as a whole, or an answer."""
        self._format = form
        self._patterns = patterns_of(form)
        self._functions = frozenset(functions)
        self._held = ""
        self._place = _Place.TEXT
        self._has_answer = False
        """Whether something was said since the beginning, or since the last call."""
        self._object_end = ObjectEnd()

    def add(self, text: str) -> list[Segment]:
        """The pieces that have become sure."""
        self._held += text
        pieces: list[Segment] = []
        while self._held and self._advance(pieces):
            pass
        return pieces

    def flush(self) -> list[Segment]:
        """What was held back, for the end of the text; the beginning of a call is nothing yet."""
        pieces: list[Segment] = []
        match self._place:
            case _Place.TAIL:
                self._put(pieces, Kind.CALL_END, len(self._held))
            case _Place.BETWEEN:
                self._put(pieces, Kind.SPACE, len(self._held))
            case _:
                is_call = self._is_cut_off_call()
                self._put(pieces, Kind.SPACE if is_call else Kind.ANSWER, len(self._held))
        return pieces

    def _advance(self, pieces: list[Segment]) -> bool:
        """Take what is sure; True if what is left may be too."""
        match self._place:
            case _Place.TEXT:
                return self._look_for_call(pieces)
            case _Place.ARGUMENTS:
                end = self._object_end.find(self._held)
                self._put(pieces, Kind.ARGUMENTS, len(self._held) if end is None else end)
                self._place = _Place.ARGUMENTS if end is None else _Place.TAIL
                return True
            case _Place.TAIL:
                return self._look_for_tail(pieces)
            case _Place.BETWEEN:
                return self._look_for_more(pieces)

    def _look_for_call(self, pieces: list[Segment]) -> bool:
        start = self._start()
        if start is None:
            sure = len(self._held) - begun(self._held, self._format.opener)
            if not self._has_answer and not self._held[:sure].strip():
                return False
            self._answer(pieces, sure)
            return False
        self._answer(pieces, start)
        if self._begin(pieces, again=False):
            return True
        if self._begins_call() and len(self._held) <= MAX_CALL:
            return False
        return self._take_whole(pieces)

    def _start(self) -> int | None:
        """Where in what is held a call may begin."""
        if self._format.opener:
            start = self._held.find(self._format.opener)
            return start if start >= 0 else None
        num_space = len(self._held) - len(self._held.lstrip())
        return num_space if not self._has_answer and self._held[num_space:][:1] == "{" else None

    def _begins_call(self) -> bool:
        found = self._patterns.first.match(self._held, partial=True)
        return found is not None and bool(found.partial)

    def _is_cut_off_call(self) -> bool:
        """Whether what is held can have been meant as nothing else."""
        mark = self._format.opener or '"name"'
        return bool(self._functions) and mark in self._held and self._begins_call()

    def _begin(self, pieces: list[Segment], *, again: bool) -> bool:
        """Take the beginning of a call, if all of it is there."""
        pattern = self._patterns.again if again else self._patterns.first
        found = pattern.match(self._held)
        if found is None or found["name"] not in self._functions:
            return False
        self._put(pieces, Kind.CALL_BEGIN, found.end(), found["name"])
        self._place, self._object_end = _Place.ARGUMENTS, ObjectEnd()
        return True

    def _take_whole(self, pieces: list[Segment]) -> bool:
        """A call that is not told as it is written, or the opener of something that is none."""
        opener, closer = self._format.opener, self._format.closer.strip()
        if not opener or not closer:
            self._answer(pieces, len(opener) or len(self._held))
            return bool(self._held)
        end = self._held.find(closer)
        if end < 0 and len(self._held) <= MAX_CALL:
            return False
        if 0 <= end <= MAX_CALL:
            self._put(pieces, Kind.CALL, end + len(closer))
        else:
            self._answer(pieces, len(opener))
        return True

    def _look_for_tail(self, pieces: list[Segment]) -> bool:
        found = self._patterns.tail.match(self._held, partial=True)
        is_held = found is not None and found.partial and len(self._held) <= MAX_CALL
        if is_held:
            return False
        length = found.end() if found is not None else len(self._held)
        self._put(pieces, Kind.CALL_END, length)
        self._place, self._has_answer = _Place.BETWEEN, False
        return True

    def _look_for_more(self, pieces: list[Segment]) -> bool:
        if self._begin(pieces, again=True):
            return True
        for pattern in (self._patterns.again, self._patterns.end):
            found = pattern and pattern.match(self._held, partial=True)
            if found and found.partial and len(self._held) <= MAX_CALL:
                return False
            if found and pattern is self._patterns.end:
                self._put(pieces, Kind.SPACE, found.end())
                break
        self._place = _Place.TEXT
        return True

    def _answer(self, pieces: list[Segment], length: int) -> None:
        """White space alone is no answer before a call."""
        text = self._held[:length]
        is_said = self._has_answer or bool(text.strip())
        self._put(pieces, Kind.ANSWER if is_said else Kind.SPACE, length)
        self._has_answer = is_said

    def _put(self, pieces: list[Segment], kind: Kind, length: int, name: str = "") -> None:
        if length:
            pieces.append(Segment(kind, self._held[:length], name))
            self._held = self._held[length:]
