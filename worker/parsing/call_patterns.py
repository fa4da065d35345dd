"""Regular expressions that delimit tool calls, one set per call format."""

from functools import lru_cache
from typing import Any, NamedTuple

import regex

from models.profile.call_format import CallFormat

_NAME = r'\{\s*"name"\s*:\s*"(?P<name>[a-zA-Z0-9_-]{1,130})"\s*'
_HEAD = _NAME + r',\s*"(?:arguments|parameters)"\s*:\s*'
_CUSTOM_HEAD = _NAME + r"\}[ \t]*\n"
_OBJECT = r"(?=\{)"

Pattern = Any
"""A compiled pattern of `regex`, which is untyped but supports partial matches."""


class CallPatterns(NamedTuple):
    """Patterns matched, possibly partially, at the start of the buffered text."""

    first: Pattern
    """The first call up to its arguments."""
    again: Pattern
    """A further call up to its arguments, separator included."""
    first_custom: Pattern
    """The first call, if it is of a custom tool, up to its input."""
    again_custom: Pattern
    """A further call of a custom tool up to its input, separator included."""
    tail: Pattern
    """The end of a call, after its arguments."""
    end: Pattern | None
    """The text that closes the list of calls, if the format has one."""


@lru_cache
def call_patterns(call_format: CallFormat) -> CallPatterns:
    """Return the patterns of a call format; white space may stand wherever JSON allows it."""
    opener, after = _with_space(call_format.opener), _with_space(call_format.after_opener)
    closer = regex.escape(call_format.closer.strip())
    # Anything else that a model adds to a call is skipped.
    rest = rf"(?:(?!{closer}).)*" if closer else r"[^}]*\}"
    return CallPatterns(
        first=_compile(opener + after + _HEAD + _OBJECT),
        again=_compile(_with_space(call_format.separator) + _HEAD + _OBJECT),
        first_custom=_compile(opener + after + _CUSTOM_HEAD),
        again_custom=_compile(_with_space(call_format.separator) + _CUSTOM_HEAD),
        tail=_compile(rest + closer),
        end=_compile(r"\s*" + regex.escape(call_format.end)) if call_format.end else None,
    )


def _with_space(text: str) -> str:
    """Return a pattern for the text with any white space around it; empty for an empty text."""
    return rf"\s*{regex.escape(text.strip())}\s*" if text.strip() else r"\s*" if text else ""


def _compile(pattern: str) -> Pattern:
    return regex.compile(pattern, regex.DOTALL)
