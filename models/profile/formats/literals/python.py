"""Calls as in Python between delimiters: Gemma 3, OLMo 3 and LFM2."""

from models.profile.formats.call_format import PYTHON, CallFormat


def _calls(style: str, opener: str, after_opener: str, separator: str, end: str) -> CallFormat:
    return CallFormat(
        style=style,
        opener=opener,
        after_opener=after_opener,
        head="",
        after_name="(",
        arguments=PYTHON,
        tail=")",
        separator=separator,
        end=end,
    )


TOOL_CODE = _calls("tool_code", "```tool_code", "\n", "\n", "\n```")
OLMO = _calls("olmo", "<function_calls>", "", "\n", "</function_calls>")
LFM = _calls("lfm", "<|tool_call_start|>", "[", ", ", "]<|tool_call_end|>")
