"""Incremental parser of the turns of gpt-oss (harmony); does no I/O.

A turn is one message or several: `<|channel|>analysis<|message|>…<|end|><|start|>assistant…`. The
channel says what a message is, and `to=functions.f` in its header that it is a call.
"""

import re
from collections.abc import Callable, Collection
from enum import StrEnum

from worker.parsing.json_object import JsonObjectScanner
from worker.parsing.segments import Kind, Segment, SegmentParser, partial_tag_length

_MESSAGE = "<|message|>"
_ENDS = ("<|end|>", "<|return|>", "<|call|>")
_STARTS = ("<|start|>", "<|channel|>")
_BORDERS = (*_ENDS, *_STARTS)
_BEGINNINGS = (*_BORDERS, " to=", "to=", "<|constrain|>", _MESSAGE)
_CHANNEL = re.compile(r"<\|channel\|>\s*([a-z]+)")
_RECIPIENT = re.compile(r"\bto=(\S+?)(?=\s|<\||$)")
_MAX_HEADER = 1024


class _State(StrEnum):
    HEADER = "header"
    REASONING = "reasoning"
    ANSWER = "answer"
    TEXT = "text"
    """In a message to a recipient that cannot be called: all of it is shown."""
    ARGUMENTS = "arguments"
    TAIL = "tail"


class HarmonyParser:
    """Splits a turn into reasoning, calls and answer.

    The texts of the segments add up to the text that was added, less what is still buffered.
    """

    def __init__(
        self, functions: Collection[str], make_parser: Callable[[], SegmentParser] | None = None
    ) -> None:
        """Create a parser of one turn.

        `make_parser` returns a parser for calls within the answer, if there may be any.
        """
        self._functions = frozenset(functions)
        self._make_parser = make_parser
        self._answer: SegmentParser | None = None
        self._buffer = ""
        self._state = _State.HEADER
        self._scanner = JsonObjectScanner()

    def add(self, text: str) -> list[Segment]:
        """Add text and return the segments that have become certain."""
        self._buffer += text
        segments: list[Segment] = []
        while self._buffer and self._advance(segments):
            pass
        return segments

    def flush(self) -> list[Segment]:
        """Return the buffered text; call at the end of the text."""
        segments: list[Segment] = []
        is_header = self._state is _State.HEADER and self._may_be_header()
        is_border = any(border.startswith(self._buffer) for border in _BORDERS)
        if is_header or (self._state is not _State.HEADER and is_border):
            self._emit(segments, Kind.SPACE, len(self._buffer))
        elif self._state is _State.HEADER:
            self._begin(segments, _State.ANSWER, Kind.SPACE, 0)
        self._emit_body(segments, len(self._buffer))
        self._end_message(segments, 0)
        return segments

    def _advance(self, segments: list[Segment]) -> bool:
        """Emit what is certain; return True if the rest of the buffer should be parsed again."""
        match self._state:
            case _State.HEADER:
                return self._parse_header(segments)
            case _State.ARGUMENTS:
                return self._parse_arguments(segments)
        return self._parse_body(segments)

    def _parse_header(self, segments: list[Segment]) -> bool:
        rest = self._buffer.lstrip()
        for end in _ENDS:
            if rest.startswith(end):
                self._emit(segments, Kind.SPACE, len(self._buffer) - len(rest) + len(end))
                return True
        position = self._buffer.find(_MESSAGE)
        if position < 0:
            if self._may_be_header() and len(self._buffer) <= _MAX_HEADER:
                return False
            return self._begin_without_header(segments)
        header, length = self._buffer[:position], position + len(_MESSAGE)
        if not rest.startswith(_BEGINNINGS) or position > _MAX_HEADER:
            return self._begin_without_header(segments)
        channel, recipient = _CHANNEL.search(header), _RECIPIENT.search(header)
        if recipient is not None:
            return self._parse_recipient(segments, recipient[1], length)
        if channel is not None and channel[1] == "analysis":
            return self._begin(segments, _State.REASONING, Kind.TAG, length)
        return self._begin(segments, _State.ANSWER, Kind.SPACE, length)

    def _begin_without_header(self, segments: list[Segment]) -> bool:
        """Begin an answer, of which a token that would begin a message is text."""
        start = next((text for text in _STARTS if self._buffer.lstrip().startswith(text)), "")
        length = len(self._buffer) - len(self._buffer.lstrip()) + len(start) if start else 0
        return self._begin(segments, _State.ANSWER, Kind.ANSWER, length)

    def _may_be_header(self) -> bool:
        rest = self._buffer.lstrip()
        return rest.startswith(_BEGINNINGS) or any(start.startswith(rest) for start in _BEGINNINGS)

    def _parse_recipient(self, segments: list[Segment], recipient: str, length: int) -> bool:
        """Begin a call once its arguments begin, or show a message that is none."""
        body = self._buffer[length:].lstrip()
        name = recipient.removeprefix("functions.")
        if name in self._functions and not body:
            return False
        if name not in self._functions or body[0] != "{":
            return self._begin(segments, _State.TEXT, Kind.ANSWER, length)
        num_space = len(self._buffer) - length - len(body)
        segments.append(Segment(Kind.CALL_BEGIN, self._buffer[: length + num_space], name))
        self._scanner = JsonObjectScanner()
        return self._begin(segments, _State.ARGUMENTS, Kind.SPACE, 0, length + num_space)

    def _begin(
        self, segments: list[Segment], state: _State, kind: Kind, length: int, num_done: int = 0
    ) -> bool:
        """Begin the body of a message after its header; return True."""
        self._buffer = self._buffer[num_done:]
        self._emit(segments, kind, length)
        self._state = state
        is_parsed = state is _State.ANSWER and self._make_parser is not None
        self._answer = self._make_parser() if is_parsed and self._make_parser else None
        return True

    def _parse_body(self, segments: list[Segment]) -> bool:
        found = [(self._buffer.find(border), border) for border in _BORDERS]
        start, border = min(((n, text) for n, text in found if n >= 0), default=(-1, ""))
        if start < 0:
            held = max(partial_tag_length(self._buffer, border) for border in _BORDERS)
            self._emit_body(segments, len(self._buffer) - held)
            return False
        self._emit_body(segments, start)
        self._end_message(segments, len(border) if border in _ENDS else 0)
        return True

    def _parse_arguments(self, segments: list[Segment]) -> bool:
        """Emit arguments; the token that ends a message ends them even if they are not whole."""
        held = max(_num_held(self._buffer, border) for border in _BORDERS)
        text = self._buffer[: len(self._buffer) - held]
        end = self._scanner.find_end(text)
        self._emit(segments, Kind.ARGUMENTS, len(text) if end is None else end)
        if end is not None:
            self._state = _State.TAIL
        return end is not None

    def _emit_body(self, segments: list[Segment], length: int) -> None:
        text = self._buffer[:length]
        match self._state:
            case _State.ANSWER if self._answer is not None:
                segments += self._answer.add(text)
                self._buffer = self._buffer[length:]
            case _State.ANSWER | _State.TEXT:
                self._emit(segments, Kind.ANSWER, length)
            case _State.REASONING:
                self._emit(segments, Kind.REASONING, length)
            case _State.ARGUMENTS:
                self._emit(segments, Kind.ARGUMENTS, length)
            case _:
                self._emit(segments, Kind.SPACE, length)

    def _end_message(self, segments: list[Segment], length: int) -> None:
        """End the body of a message with the token after it, if there is one."""
        match self._state:
            case _State.ANSWER if self._answer is not None:
                segments += self._answer.flush()
                self._emit(segments, Kind.SPACE, length)
            case _State.TAIL:
                segments.append(Segment(Kind.CALL_END, self._buffer[:length]))
                self._buffer = self._buffer[length:]
            case _State.REASONING:
                self._emit(segments, Kind.TAG, length)
            case _:
                self._emit(segments, Kind.SPACE, length)
        self._state = _State.HEADER

    def _emit(self, segments: list[Segment], kind: Kind, length: int) -> None:
        if length:
            segments.append(Segment(kind, self._buffer[:length]))
            self._buffer = self._buffer[length:]


def _num_held(text: str, border: str) -> int:
    """Return how many characters at the end may be a token that ends the message."""
    return len(border) if text.endswith(border) else partial_tag_length(text, border)
