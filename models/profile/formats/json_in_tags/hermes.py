"""Calls of Hermes, Qwen, SmolLM 3, Falcon, EXAONE 4, Granite 4, ERNIE 4.5 and many more."""

from models.profile.formats.call_format import CallFormat

HERMES = CallFormat(
    style="hermes",
    opener="<tool_call>",
    after_opener="\n",
    closer="\n</tool_call>",
    separator="\n<tool_call>\n",
)
