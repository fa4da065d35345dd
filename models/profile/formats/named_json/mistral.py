"""Calls of Mistral Small 3.2 and later, Ministral 3, Magistral and Devstral."""

from models.profile.formats.call_format import CallFormat

MISTRAL_ARGS = CallFormat(
    style="mistral_args",
    opener="[TOOL_CALLS]",
    head="",
    after_name="[ARGS]",
    tail="",
    separator="[TOOL_CALLS]",
    after_name_pattern=r"(?:\[CALL_ID\][a-zA-Z0-9]{0,64}+)?+\[ARGS\]",
    id_length=9,
)
