"""Filter that hides the tags that a model writes around its answer; does no I/O."""

from models.profile.thinking import AnswerTags
from worker.parsing.segments import Kind, Segment, partial_tag_length


class AnswerTagsFilter:
    """Hides an opening tag at the beginning of the answer, and the closing tag that follows it.

    The white space beside the tags is hidden, too.
    """

    def __init__(self, tags: AnswerTags) -> None:
        self._tags = tags
        self._outside = tuple(filter(None, (tags.closer, tags.ending))) if tags.are_tokens else ()
        """Texts that are hidden outside the tags."""
        self._buffer = ""
        self._is_open = False
        self._has_answer = False
        """True if there was answer text since the beginning, or since the last call."""

    def add(self, segments: list[Segment]) -> list[Segment]:
        """Return the segments without the tags; text that may belong to one is buffered."""
        filtered: list[Segment] = []
        for segment in segments:
            if segment.kind is Kind.ANSWER:
                self._buffer += segment.text
                while self._advance(filtered):
                    pass
            else:
                filtered += [*self.flush(), segment]
                self._has_answer &= segment.kind is not Kind.CALL_END
        return filtered

    def flush(self) -> list[Segment]:
        """Return the buffered text; call at the end of the answer, or before anything else."""
        segments: list[Segment] = []
        kind = Kind.ANSWER if self._buffer.strip() and not self._is_cut_off() else Kind.SPACE
        self._emit(segments, kind, len(self._buffer))
        return segments

    def _is_cut_off(self) -> bool:
        """Return True if the buffer is the beginning of a tag that is expected."""
        tag = self._tags.closer if self._is_open else self._tags.opener
        return len(self._buffer.strip()) > 1 and tag.startswith(self._buffer.strip())

    def _advance(self, segments: list[Segment]) -> bool:
        if not self._is_open:
            return self._parse_opener(segments)
        closer = self._tags.closer
        start = self._buffer.find(closer)
        if start >= 0:
            text = self._buffer[:start]
            self._emit_answer(segments, len(text.rstrip()))
            self._emit(segments, Kind.SPACE, len(text) - len(text.rstrip()) + len(closer))
            self._is_open, self._has_answer = False, True
            return True
        num_certain = len(self._buffer) - partial_tag_length(self._buffer, closer)
        self._emit_answer(segments, len(self._buffer[:num_certain].rstrip()))
        return False

    def _parse_opener(self, segments: list[Segment]) -> bool:
        rest, opener = self._buffer.lstrip(), self._tags.opener
        if not self._has_answer and opener.startswith(rest[: len(opener)]):
            if len(rest) < len(opener):
                return False
            self._emit(segments, Kind.SPACE, len(self._buffer) - len(rest) + len(opener))
            self._is_open = True
            return True
        return self._parse_outside(segments)

    def _parse_outside(self, segments: list[Segment]) -> bool:
        """Emit text that follows the tags, or has none; tokens that end an answer are hidden."""
        found = [(self._buffer.find(text), text) for text in self._outside]
        start, text = min(((n, text) for n, text in found if n >= 0), default=(-1, ""))
        held = max((partial_tag_length(self._buffer, text) for text in self._outside), default=0)
        length = start if start >= 0 else len(self._buffer) - held
        self._has_answer |= length > 0
        self._emit(segments, Kind.ANSWER, length)
        self._emit(segments, Kind.SPACE, len(text))
        return start >= 0

    def _emit_answer(self, segments: list[Segment], length: int) -> None:
        """Emit answer text; the white space after the opening tag is none."""
        if not self._has_answer:
            text = self._buffer[:length]
            num_space = len(text) - len(text.lstrip())
            self._emit(segments, Kind.SPACE, num_space)
            length -= num_space
        self._has_answer |= length > 0
        self._emit(segments, Kind.ANSWER, length)

    def _emit(self, segments: list[Segment], kind: Kind, length: int) -> None:
        if length:
            segments.append(Segment(kind, self._buffer[:length]))
            self._buffer = self._buffer[length:]
