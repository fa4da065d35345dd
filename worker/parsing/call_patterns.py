"""What is looked for in a model's text to find its calls of functions, for each format."""

from functools import lru_cache
from typing import Any, NamedTuple

import regex

from models.profile.call_format import CallFormat

_HEAD = r'\{\s*"name"\s*:\s*"(?P<name>[a-zA-Z0-9_-]{1,64})"\s*,\s*"(?:arguments|parameters)"\s*:\s*'
_OBJECT = r"(?=\{)"

Pattern = Any
"""Of `regex`, which has no types; a match of it may be of the beginning alone."""


class CallPatterns(NamedTuple):
    """Regular expressions that are matched where something is expected, in part if need be."""

    first: Pattern
    """The first call up to its arguments."""
    again: Pattern
    """Another, after one that has ended."""
    tail: Pattern
    """What a call ends with, after its arguments."""
    end: Pattern | None
    """What all calls end with."""


@lru_cache
def patterns_of(form: CallFormat) -> CallPatterns:
    """White space may be anywhere that JSON allows it."""
    opener, after = _loose(form.opener), _loose(form.after_opener)
    closer = regex.escape(form.closer.strip())
    # Whatever else a model adds to a call is passed over.
    rest = rf"(?:(?!{closer}).)*" if closer else r"[^}]*\}"
    return CallPatterns(
        first=_compile(opener + after + _HEAD + _OBJECT),
        again=_compile(_loose(form.separator) + _HEAD + _OBJECT),
        tail=_compile(rest + closer),
        end=_compile(r"\s*" + regex.escape(form.end)) if form.end else None,
    )


def _loose(text: str) -> str:
    """A text with any white space around it; nothing for an empty one."""
    return rf"\s*{regex.escape(text.strip())}\s*" if text.strip() else r"\s*" if text else ""


def _compile(pattern: str) -> Pattern:
    return regex.compile(pattern, regex.DOTALL)
