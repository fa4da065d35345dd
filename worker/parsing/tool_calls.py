"""Incremental parser that separates tool calls from the answer around them; does no I/O.

A function call is emitted as it is generated, its arguments in pieces. One that deviates from its
format is emitted once it is whole; one of the server's tools is emitted whole, tags included.
"""

from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType

from models.profile.formats.call_format import CallFormat
from models.profile.formats.json_in_tags.hermes import HERMES
from worker.parsing.arguments.json_reader import JsonReader
from worker.parsing.arguments.make_reader import make_reader
from worker.parsing.arguments.reader import ArgumentsReader, ArgumentTypes
from worker.parsing.call_forms import CallForm, call_forms, find_start, may_begin, num_held
from worker.parsing.segments import Kind, Segment, partial_tag_length
from worker.parsing.whole_calls import parse_function_calls

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
        call_format: CallFormat = HERMES,
        functions: Collection[str] = (),
        inputs: Mapping[str, str] = MappingProxyType({}),
        types: Mapping[str, ArgumentTypes] = MappingProxyType({}),
    ) -> None:
        """Create a parser; a call that names none of these is a whole call or an answer.

        `inputs` are custom tools, with the text that ends their input; with an empty text, the
        input goes on to the end. `types` are those of the arguments of each function.
        """
        self._forms = call_forms(call_format)
        self._form = self._forms[0]
        """Format of the current call."""
        self._functions = frozenset(functions)
        self._inputs = inputs
        self._types = types
        self._input_end = ""
        self._buffer = ""
        self._state = _State.TEXT
        self._has_answer = False
        """True if there was answer text since the beginning, or since the last call."""
        self._reader: ArgumentsReader = JsonReader()

    def add(self, text: str) -> list[Segment]:
        """Add text and return the segments that have become certain."""
        self._buffer += text
        segments: list[Segment] = []
        while (self._buffer or self._state is _State.TAIL) and self._advance(segments):
            pass
        return segments

    def flush(self) -> list[Segment]:
        """Return the buffered text; call at the end of the text. A cut-off call is not shown."""
        segments: list[Segment] = []
        match self._state:
            case _State.INPUT:
                self._emit(segments, Kind.ARGUMENTS, len(self._buffer))
            case _State.ARGUMENTS | _State.BETWEEN:
                self._emit(segments, Kind.SPACE, len(self._buffer))
            case _State.TAIL:
                self._emit(segments, Kind.SPACE, len(self._buffer))
                segments.append(Segment(Kind.CALL_END, ""))
            case _State.TEXT:
                kind = Kind.SPACE if self._is_cut_off_call() else Kind.ANSWER
                self._emit(segments, kind, len(self._buffer))
        return segments

    def _advance(self, segments: list[Segment]) -> bool:
        """Emit what is certain; return True if the rest of the buffer should be parsed again."""
        match self._state:
            case _State.TEXT:
                return self._parse_text(segments)
            case _State.ARGUMENTS:
                return self._parse_arguments(segments)
            case _State.INPUT:
                return self._parse_input(segments)
            case _State.TAIL:
                return self._parse_tail(segments)
            case _State.BETWEEN:
                return self._parse_between(segments)

    def _parse_text(self, segments: list[Segment]) -> bool:
        start, forms = find_start(self._buffer, self._forms, has_answer=self._has_answer)
        if not forms:
            num_certain = len(self._buffer) - num_held(self._buffer, self._forms)
            if self._has_answer or self._buffer[:num_certain].strip():
                self._emit_answer(segments, num_certain)
            return False
        self._emit_answer(segments, start)
        if any(self._begin_call(segments, form, is_first=True) for form in forms):
            return True
        if self._may_begin(forms) and len(self._buffer) <= MAX_CALL:
            return False
        return self._parse_whole_call(segments, forms)

    def _is_cut_off_call(self) -> bool:
        """Return True if the buffer can only be the beginning of a call."""
        _, forms = find_start(self._buffer, self._forms, has_answer=self._has_answer)
        marked = [form for form in forms if form.is_marked(self._buffer)]
        return bool(self._functions or self._inputs) and self._may_begin(marked)

    def _may_begin(self, forms: Iterable[CallForm]) -> bool:
        return may_begin(self._buffer, forms, has_inputs=bool(self._inputs))

    def _begin_call(self, segments: list[Segment], form: CallForm, *, is_first: bool) -> bool:
        """Emit the beginning of a call if all of it is buffered; return True if it was."""
        patterns = form.patterns
        found = (patterns.first if is_first else patterns.again).match(self._buffer)
        if found is not None and found["name"] in self._functions:
            name = found["name"]
            self._emit(segments, Kind.CALL_BEGIN, found.end(), name)
            self._state, self._form = _State.ARGUMENTS, form
            self._reader = make_reader(form.call_format.arguments, self._types.get(name, {}))
            return True
        custom = patterns.first_custom if is_first else patterns.again_custom
        found = custom.match(self._buffer) if self._inputs else None
        if found is None or found["name"] not in self._inputs:
            return False
        self._emit(segments, Kind.CALL_BEGIN, found.end(), found["name"])
        self._state, self._form = _State.INPUT, form
        self._input_end = self._inputs[found["name"]]
        return True

    def _parse_arguments(self, segments: list[Segment]) -> bool:
        length, json, is_done = self._reader.read(self._buffer)
        if json:
            text, self._buffer = self._buffer[:length], self._buffer[length:]
            segments.append(Segment(Kind.ARGUMENTS, text, json=None if json == text else json))
        else:
            self._emit(segments, Kind.SPACE, length)
        if is_done:
            self._state = _State.TAIL
        return is_done or length > 0

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

    def _parse_whole_call(self, segments: list[Segment], forms: list[CallForm]) -> bool:
        """Emit a call that is not streamed, or as answer an opener that begins no call."""
        form = next((form for form in forms if form.opener and form.section_end), None)
        if form is None:
            opener = next((form.opener for form in forms if form.opener), "")
            self._emit_answer(segments, len(opener) or 1)
            return bool(self._buffer)
        end = self._buffer.find(form.section_end, len(form.opener))
        if end < 0 and len(self._buffer) <= MAX_CALL:
            return False
        length = end + len(form.section_end)
        if not 0 <= end <= MAX_CALL or not self._emit_whole_call(segments, form, length):
            self._emit_answer(segments, len(form.opener))
        return True

    def _emit_whole_call(self, segments: list[Segment], form: CallForm, length: int) -> bool:
        """Emit a call that is not in the form of its format; return False if it is none."""
        if form.call_format.style == HERMES.style:
            self._emit(segments, Kind.CALL, length)
            return True
        inner = self._buffer[len(form.opener) : length].removesuffix(form.section_end)
        calls = parse_function_calls(inner, self._functions)
        for number, call in enumerate(calls):
            self._emit(segments, Kind.SPACE, length if number == 0 else 0)
            segments.append(Segment(Kind.CALL_BEGIN, "", call.name))
            segments.append(Segment(Kind.ARGUMENTS, "", json=call.arguments))
            segments.append(Segment(Kind.CALL_END, ""))
        self._has_answer &= not calls
        return bool(calls)

    def _parse_tail(self, segments: list[Segment]) -> bool:
        """Skip what follows the arguments, up to the end of the call or the next opener."""
        end_text, opener = self._form.call_end, self._form.opener
        if not end_text:
            return self._end_call(segments, 0, 0)
        end, again = self._buffer.find(end_text), self._buffer.find(opener) if opener else -1
        if end >= 0 and not 0 <= again < end:
            return self._end_call(segments, end, len(end_text))
        if again >= 0:
            return self._end_call(segments, again, 0)
        held = (partial_tag_length(self._buffer, text) for text in (end_text, opener))
        self._emit(segments, Kind.SPACE, len(self._buffer) - max(held))
        return False

    def _end_call(self, segments: list[Segment], num_skipped: int, length: int) -> bool:
        text = self._buffer[: num_skipped + length]
        segments.append(Segment(Kind.CALL_END, text))
        self._buffer = self._buffer[len(text) :]
        self._state, self._has_answer = _State.BETWEEN, False
        return True

    def _parse_between(self, segments: list[Segment]) -> bool:
        if self._begin_call(segments, self._form, is_first=False):
            return True
        patterns = self._form.patterns
        customs = [patterns.again_custom] if self._inputs else []
        for pattern in (patterns.again, *customs, patterns.end):
            found = pattern and pattern.match(self._buffer, partial=True)
            if found and found.partial and len(self._buffer) <= MAX_CALL:
                return False
            if found and pattern is patterns.end:
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
