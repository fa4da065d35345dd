"""Formats of calls as the parser looks for them: where a call may begin, and where one ends."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from models.profile.formats.call_format import CallFormat
from worker.parsing.call_patterns import CallPatterns, call_patterns
from worker.parsing.segments import partial_tag_length


class CallForm(NamedTuple):
    """A format that is read, with what is derived from it."""

    call_format: CallFormat
    patterns: CallPatterns
    opener: str
    first_character: str
    """First character of a call in a format without an opener."""
    call_end: str
    """Text that ends a call in any case; empty if the arguments do."""
    section_end: str
    """Text that ends a call that deviates from the format; empty if nothing does."""

    def is_marked(self, text: str) -> bool:
        """Return True if a text has what only a call in this format has."""
        mark = self.opener or self.call_format.head.strip('{ :"') or "("
        return mark in text


def call_forms(call_format: CallFormat) -> tuple[CallForm, ...]:
    """Return the forms of all formats that are read where calls are in this one."""
    return tuple(map(_form, (call_format, *call_format.also)))


def find_start(
    text: str, forms: Sequence[CallForm], *, has_answer: bool
) -> tuple[int, list[CallForm]]:
    """Return where in a text a call may begin, and in which forms; none if nowhere.

    In a form without an opener, none begins after an answer.
    """
    num_space = len(text) - len(text.lstrip())
    first = text[num_space : num_space + 1]
    starts = []
    for form in forms:
        if form.opener:
            start = text.find(form.opener)
        else:
            start = num_space if first == form.first_character and not has_answer else -1
        if start >= 0:
            starts.append((start, form))
    start = min((start for start, _ in starts), default=0)
    return start, [form for found, form in starts if found == start]


def may_begin(text: str, forms: Iterable[CallForm], *, has_inputs: bool) -> bool:
    """Return True if a text may be the beginning of a call; `has_inputs`: of a custom tool, too."""
    patterns = [form.patterns.first for form in forms]
    patterns += [form.patterns.first_custom for form in forms if has_inputs]
    return any(is_partial(pattern.match(text, partial=True)) for pattern in patterns)


def num_held(text: str, forms: Iterable[CallForm]) -> int:
    """Return how many characters at the end of a text may belong to an opener."""
    return max(partial_tag_length(text, form.opener) for form in forms)


def is_partial(found: Any) -> bool:
    """Return True if a match needs more text."""
    return found is not None and bool(found.partial)


def _form(call_format: CallFormat) -> CallForm:
    closer, tail = call_format.closer.strip(), call_format.tail.strip()
    return CallForm(
        call_format=call_format,
        patterns=call_patterns(call_format),
        opener=call_format.opener,
        first_character=(call_format.after_opener + call_format.head)[:1],
        call_end=closer or tail,
        section_end=closer or call_format.end.strip(),
    )
