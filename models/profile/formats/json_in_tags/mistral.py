"""Calls of Mistral 7B v0.3, Nemo and Small 3.1: a list after a token."""

from models.profile.formats.call_format import CallFormat

MISTRAL = CallFormat(
    style="mistral",
    opener="[TOOL_CALLS]",
    after_opener="[",
    separator=", ",
    end="]",
    id_length=9,
)
