"""Calls of Kimi K2, K2.5 and K2.6."""

from models.profile.formats.call_format import NUMBER, CallFormat

KIMI = CallFormat(
    style="kimi",
    opener="<|tool_calls_section_begin|>",
    head="<|tool_call_begin|>functions.",
    after_name=f":{NUMBER}<|tool_call_argument_begin|>",
    tail="",
    closer="<|tool_call_end|>",
    end="<|tool_calls_section_end|>",
    has_names_in_ids=True,
    head_pattern=r"<\|tool_call_begin\|>\s*+(?:functions\.)?+",
    after_name_pattern=r"(?::\d{1,9}+)?+\s*+<\|tool_call_argument_begin\|>",
)
