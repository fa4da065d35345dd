"""Calls of LongCat."""

from models.profile.formats.call_format import CallFormat

LONGCAT = CallFormat(
    style="longcat",
    opener="<longcat_tool_call>",
    after_opener="\n",
    closer="\n</longcat_tool_call>",
    separator="\n<longcat_tool_call>\n",
)
