"""Incremental parser that separates tool calls from the answer around them; does no I/O.

A function call is emitted as it is generated, its arguments in pieces. Any other call, one of the
server's tools or one in another notation, is emitted whole, tags included.
"""

from collections.abc import Collection, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from models.profile.call_format import GENERIC, CallFormat
from worker.parsing.call_patterns import call_patterns
from worker.parsing.json_object import JsonObjectScanner
from worker.parsing.segments import Kind, Segment, partial_tag_length

MAX_CALL = 8192
"""Most characters that are buffered until they are known to be a call; longer text is not one."""


class _State(StrEnum):
    TEXT = "text"
    ARGUMENTS = "arguments"
    INPUT = "input"
    TAIL = "tail"
    BETWEEN = "between"


class ToolCallParser:
    """Splits text into tool calls and answer.

    The texts of the segments add up to the text that was added, less what is still buffered.
    """

    def __init__(
        self,
        call_format: CallFormat = GENERIC,
        functions: Collection[str] = (),
        inputs: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Create a parser; a call that names none of these is a whole call or an answer.

        `inputs` are custom tools, with the text that ends their input; with an empty text, the
        input goes on to the end.
        """
        self._format = call_format
        self._patterns = call_patterns(call_format)
        self._functions = frozenset(functions)
        self._inputs = inputs
        self._input_end = ""
        self._buffer = ""
        self._state = _State.TEXT
        self._has_answer = False
        """True if there was answer text since the beginning, or since the last call."""
        self._scanner = JsonObjectScanner()

    def add(self, text: str) -> list[Segment]:
        """Add text and return the segments that have become certain."""
        self._buffer += text
        segments: list[Segment] = []
        while self._buffer and self._advance(segments):
            pass
        return segments

    def flush(self) -> list[Segment]:
        """Return the buffered text; call at the end of the text. A cut-off call is not shown."""
        segments: list[Segment] = []
        match self._state:
            case _State.INPUT:
                self._emit(segments, Kind.ARGUMENTS, len(self._buffer))
            case _State.TAIL:
                self._emit(segments, Kind.CALL_END, len(self._buffer))
            case _State.BETWEEN:
                self._emit(segments, Kind.SPACE, len(self._buffer))
            case _:
                kind = Kind.SPACE if self._is_cut_off_call() else Kind.ANSWER
                self._emit(segments, kind, len(self._buffer))
        return segments

    def _advance(self, segments: list[Segment]) -> bool:
        """Emit what is certain; return True if the rest of the buffer should be parsed again."""
        match self._state:
            case _State.TEXT:
                return self._parse_text(segments)
            case _State.ARGUMENTS:
                end = self._scanner.find_end(self._buffer)
                self._emit(segments, Kind.ARGUMENTS, len(self._buffer) if end is None else end)
                self._state = _State.ARGUMENTS if end is None else _State.TAIL
                return True
            case _State.INPUT:
                return self._parse_input(segments)
            case _State.TAIL:
                return self._parse_tail(segments)
            case _State.BETWEEN:
                return self._parse_between(segments)

    def _parse_text(self, segments: list[Segment]) -> bool:
        start = self._find_start()
        if start is None:
            num_certain = len(self._buffer) - partial_tag_length(self._buffer, self._format.opener)
            if not self._has_answer and not self._buffer[:num_certain].strip():
                return False
            self._emit_answer(segments, num_certain)
            return False
        self._emit_answer(segments, start)
        if self._begin_call(segments, is_first=True):
            return True
        if self._may_begin_call() and len(self._buffer) <= MAX_CALL:
            return False
        return self._parse_whole_call(segments)

    def _find_start(self) -> int | None:
        """Return the position in the buffer at which a call may begin; None if there is none."""
        if self._format.opener:
            start = self._buffer.find(self._format.opener)
            return start if start >= 0 else None
        num_space = len(self._buffer) - len(self._buffer.lstrip())
        return num_space if not self._has_answer and self._buffer[num_space:][:1] == "{" else None

    def _may_begin_call(self) -> bool:
        patterns = [self._patterns.first, *([self._patterns.first_custom] if self._inputs else [])]
        return any(_is_partial(pattern.match(self._buffer, partial=True)) for pattern in patterns)

    def _is_cut_off_call(self) -> bool:
        """Return True if the buffer can only be the beginning of a call."""
        mark = self._format.opener or '"name"'
        return (
            bool(self._functions or self._inputs)
            and mark in self._buffer
            and self._may_begin_call()
        )

    def _begin_call(self, segments: list[Segment], *, is_first: bool) -> bool:
        """Emit the beginning of a call if all of it is buffered; return True if it was."""
        patterns = self._patterns
        found = (patterns.first if is_first else patterns.again).match(self._buffer)
        if found is not None and found["name"] in self._functions:
            self._emit(segments, Kind.CALL_BEGIN, found.end(), found["name"])
            self._state, self._scanner = _State.ARGUMENTS, JsonObjectScanner()
            return True
        custom = patterns.first_custom if is_first else patterns.again_custom
        found = custom.match(self._buffer) if self._inputs else None
        if found is None or found["name"] not in self._inputs:
            return False
        self._emit(segments, Kind.CALL_BEGIN, found.end(), found["name"])
        self._state, self._input_end = _State.INPUT, self._inputs[found["name"]]
        return True

    def _parse_input(self, segments: list[Segment]) -> bool:
        """Emit the input of a custom tool, and its end if it is buffered."""
        end = self._buffer.find(self._input_end) if self._input_end else -1
        if end >= 0:
            self._emit(segments, Kind.ARGUMENTS, end)
            self._emit(segments, Kind.CALL_END, len(self._input_end))
            self._state, self._has_answer = _State.BETWEEN, False
            return True
        num_certain = len(self._buffer) - partial_tag_length(self._buffer, self._input_end)
        self._emit(segments, Kind.ARGUMENTS, num_certain)
        return False

    def _parse_whole_call(self, segments: list[Segment]) -> bool:
        """Emit a call that is not streamed, or as answer an opener that begins no call."""
        opener, closer = self._format.opener, self._format.closer.strip()
        if not opener or not closer:
            self._emit_answer(segments, len(opener) or len(self._buffer))
            return bool(self._buffer)
        end = self._buffer.find(closer)
        if end < 0 and len(self._buffer) <= MAX_CALL:
            return False
        if 0 <= end <= MAX_CALL:
            self._emit(segments, Kind.CALL, end + len(closer))
        else:
            self._emit_answer(segments, len(opener))
        return True

    def _parse_tail(self, segments: list[Segment]) -> bool:
        found = self._patterns.tail.match(self._buffer, partial=True)
        is_incomplete = found is not None and found.partial and len(self._buffer) <= MAX_CALL
        if is_incomplete:
            return False
        length = found.end() if found is not None else len(self._buffer)
        self._emit(segments, Kind.CALL_END, length)
        self._state, self._has_answer = _State.BETWEEN, False
        return True

    def _parse_between(self, segments: list[Segment]) -> bool:
        if self._begin_call(segments, is_first=False):
            return True
        customs = [self._patterns.again_custom] if self._inputs else []
        for pattern in (self._patterns.again, *customs, self._patterns.end):
            found = pattern and pattern.match(self._buffer, partial=True)
            if found and found.partial and len(self._buffer) <= MAX_CALL:
                return False
            if found and pattern is self._patterns.end:
                self._emit(segments, Kind.SPACE, found.end())
                break
        self._state = _State.TEXT
        return True

    def _emit_answer(self, segments: list[Segment], length: int) -> None:
        """Emit answer text; white space alone is no answer before a call."""
        text = self._buffer[:length]
        has_answer = self._has_answer or bool(text.strip())
        self._emit(segments, Kind.ANSWER if has_answer else Kind.SPACE, length)
        self._has_answer = has_answer

    def _emit(self, segments: list[Segment], kind: Kind, length: int, name: str = "") -> None:
        if length:
            segments.append(Segment(kind, self._buffer[:length], name))
            self._buffer = self._buffer[length:]


def _is_partial(found: Any) -> bool:
    """Return True if a match needs more text."""
    return found is not None and bool(found.partial)
