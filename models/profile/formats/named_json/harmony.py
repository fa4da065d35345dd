"""Calls of gpt-oss: messages to a function, in the channel for commentary (harmony)."""

from models.profile.formats.call_format import CallFormat

HARMONY = CallFormat(
    style="harmony",
    opener="<|channel|>commentary to=functions.",
    head="",
    after_name=" <|constrain|>json<|message|>",
    tail="",
    closer="<|call|>",
    separator="<|start|>assistant<|channel|>commentary to=functions.",
    takes_one_call=True,
)
"""Its turns are read by a parser of their own: `worker/parsing/harmony.py`."""
