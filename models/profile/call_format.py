"""The ways in which models spell calls of functions: one description for prompts, grammars and
the reader of the output."""

from dataclasses import dataclass
from typing import Literal

CallStyle = Literal["hermes", "llama", "mistral"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFormat:
    """How one style spells calls.

    A call is `{"name": "f", "arguments": {…}}`, within what is said here; everything but the
    arguments is in the form that grammars impose, or in one that differs in white space alone.
    """

    style: CallStyle
    opener: str
    """What the first call begins with; empty if it is the brace, and nothing may come before it."""
    after_opener: str
    """What stands between it and the brace."""
    closer: str
    """What each call ends with, beyond its brace."""
    separator: str
    """What stands between two calls."""
    end: str
    """What ends the last."""
    key: Literal["arguments", "parameters"]
    marks: tuple[str, ...] = ()
    """Tokens that must not get lost between model and reader, should they be special ones."""


CALL_FORMATS: dict[CallStyle, CallFormat] = {
    "hermes": CallFormat(
        style="hermes",
        opener="<tool_call>",
        after_opener="\n",
        closer="\n</tool_call>",
        separator="\n<tool_call>\n",
        end="",
        key="arguments",
        marks=("<tool_call>", "</tool_call>"),
    ),
    "llama": CallFormat(
        style="llama",
        opener="",
        after_opener="",
        closer="",
        separator="; ",
        end="",
        key="parameters",
    ),
    "mistral": CallFormat(
        style="mistral",
        opener="[TOOL_CALLS]",
        after_opener="[",
        closer="",
        separator=", ",
        end="]",
        key="arguments",
        marks=("[TOOL_CALLS]",),
    ),
}
GENERIC = CALL_FORMATS["hermes"]
"""For models whose chat template knows of no tools, or of a style that is not known here."""
