"""Calls of Command-R7B and Command-A: a list of numbered calls."""

from models.profile.formats.call_format import NUMBER, CallFormat

COMMAND = CallFormat(
    style="command",
    opener="<|START_ACTION|>",
    after_opener="[",
    head=f'{{"tool_call_id": "{NUMBER}", "tool_name": "',
    after_name='", "parameters": ',
    separator=", ",
    end="]<|END_ACTION|>",
)
