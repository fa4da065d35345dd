"""Regular expressions that delimit tool calls, one set per call format."""

from functools import lru_cache
from typing import Any, NamedTuple

import regex

from models.profile.formats.call_format import NUMBER, CallFormat, LiteralArguments, TaggedArguments

_NAME = r"(?P<name>[a-zA-Z0-9_-]{1,130}+)"
_SPACE = r"\s*+"
_PARTS = regex.compile(rf"\s+|[{{}}\[\],:]|{NUMBER}")
"""Where a delimiter may be written in another way: white space, and JSON's punctuation."""
_CUSTOM_HEAD = r'\{\s*+"name"\s*+:\s*+"' + _NAME + r'"\s*+\}[ \t]*+\n'

Pattern = Any
"""A compiled pattern of `regex`, which is untyped but supports partial matches."""


class CallPatterns(NamedTuple):
    """Patterns matched, possibly partially, at the start of the buffered text.

    No two of their repetitions can take the same text, so that none of them backtracks.
    """

    first: Pattern
    """The first call up to its arguments."""
    again: Pattern
    """A further call up to its arguments, separator included."""
    first_custom: Pattern
    """The first call, if it is of a custom tool, up to its input."""
    again_custom: Pattern
    """A further call of a custom tool up to its input, separator included."""
    end: Pattern | None
    """The text that closes the list of calls, if the format has one."""


@lru_cache
def call_patterns(call_format: CallFormat) -> CallPatterns:
    """Return the patterns of a call format; white space may stand wherever JSON allows it."""
    opener = _between(call_format.opener, call_format.after_opener)
    separator, end = _between(call_format.separator), _SPACE + _lenient(call_format.end.strip())
    head = _head(call_format)
    return CallPatterns(
        first=_compile(opener + head),
        again=_compile(separator + head),
        first_custom=_compile(opener + _CUSTOM_HEAD),
        again_custom=_compile(separator + _CUSTOM_HEAD),
        end=_compile(end) if call_format.end else None,
    )


def _head(form: CallFormat) -> str:
    """Return the pattern of a call up to the first character of its arguments."""
    head = form.head_pattern or _lenient(form.head)
    after_name = form.after_name_pattern or _lenient(form.after_name)
    space = "" if isinstance(form.arguments, LiteralArguments) else _SPACE
    start = r"(?=\{)"
    if isinstance(form.arguments, TaggedArguments):
        starts = (form.arguments.before_name, form.tail.strip(), form.closer.strip())
        start = rf"(?={'|'.join(regex.escape(text) for text in starts if text)})"
    elif isinstance(form.arguments, LiteralArguments) and not form.arguments.is_object:
        start = ""
    # After the name, white space is that of the pattern, so that none is matched twice.
    trimmed = after_name.removesuffix(_SPACE) if space else after_name
    return head + _NAME + trimmed + space + start


def _between(*texts: str) -> str:
    """Return a pattern of delimiters with any white space around them."""
    parts = [_lenient(text.strip()) for text in texts if text.strip()]
    return _SPACE + "".join(part + _SPACE for part in parts) if parts else _SPACE


def _lenient(text: str) -> str:
    """Return a pattern of a delimiter that allows white space where JSON and the text have some."""
    pattern: str = ""
    position = 0
    for found in _PARTS.finditer(text):
        pattern += regex.escape(text[position : found.start()])
        part = found[0]
        if part == NUMBER:
            pattern += r"\d{1,9}+"
        else:
            pattern += _SPACE if part.isspace() else _SPACE + regex.escape(part) + _SPACE
        position = found.end()
    return f"{pattern}{regex.escape(text[position:])}"


def _compile(pattern: str) -> Pattern:
    while _SPACE * 2 in pattern:
        pattern = pattern.replace(_SPACE * 2, _SPACE)
    return regex.compile(pattern, regex.DOTALL)
