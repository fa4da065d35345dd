"""Calls of InternLM 2 and 3."""

from models.profile.formats.call_format import CallFormat

INTERNLM = CallFormat(
    style="internlm",
    opener="<|action_start|><|plugin|>",
    after_opener="\n",
    after_name='", "parameters": ',
    closer="<|action_end|>",
    separator="\n<|action_start|><|plugin|>\n",
)
