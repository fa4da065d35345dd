"""Calls of FunctionGemma and Gemma 4: an object with names and quotes of their own."""

from models.profile.formats.call_format import CallFormat, LiteralArguments


def _calls(style: str, opener: str, closer: str, quote: str) -> CallFormat:
    return CallFormat(
        style=style,
        opener=opener,
        head="call:",
        after_name="",
        arguments=LiteralArguments(is_object=True, quote=quote),
        tail="",
        closer=closer,
        separator=opener,
    )


FUNCTION_GEMMA = _calls(
    "function_gemma", "<start_function_call>", "<end_function_call>", "<escape>"
)
GEMMA_4 = _calls("gemma_4", "<|tool_call>", "<tool_call|>", '<|"|>')
