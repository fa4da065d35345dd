"""Calls of Apertus: a list of objects whose only name is that of the function."""

from models.profile.formats.call_format import CallFormat

APERTUS = CallFormat(
    style="apertus",
    opener="<|tools_prefix|>",
    after_opener="[",
    head='{"',
    after_name='": ',
    separator=", ",
    end="]<|tools_suffix|>",
)
