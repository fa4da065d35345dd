"""Text formats in which models write tool calls.

Prompts, grammars and the parser of the output all use these descriptions.
"""

from dataclasses import dataclass
from typing import Literal

CallStyle = Literal["hermes", "llama", "mistral"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFormat:
    """Delimiters of tool calls in one format.

    A call is `{"name": "f", "arguments": {…}}` between these delimiters. Everything but the
    arguments has the form that grammars impose, or differs from it in white space only.
    """

    style: CallStyle
    opener: str
    """Text before the first call; empty if calls begin with the brace and no text precedes them."""
    after_opener: str
    """Text between the opener and the brace of the first call."""
    closer: str
    """Text after the closing brace of each call."""
    separator: str
    """Text between two calls."""
    end: str
    """Text after the last call."""
    key: Literal["arguments", "parameters"]
    marks: tuple[str, ...] = ()
    """Delimiter tokens that detokenization must keep even if they are special tokens."""


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
"""Format for models whose chat template supports no tools or uses an unknown format."""
