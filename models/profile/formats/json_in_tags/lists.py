"""Calls in a list between two tags: Phi-4-mini, Granite 3, Hunyuan, Jamba, Nemotron Nano 2."""

from dataclasses import replace

from models.profile.formats.call_format import CallFormat


def _list_between(style: str, opener: str, closer: str) -> CallFormat:
    return CallFormat(
        style=style, opener=opener, after_opener="[", separator=", ", end=f"]{closer}"
    )


_PHI_SINGLE = CallFormat(
    style="phi",
    opener="<|tool_call|>",
    closer="<|/tool_call|>",
    separator="<|tool_call|>",
)
PHI = replace(_list_between("phi", "<|tool_call|>", "<|/tool_call|>"), also=(_PHI_SINGLE,))
GRANITE = _list_between("granite", "<|tool_call|>", "")
TOOL_CALLS = _list_between("tool_calls", "<tool_calls>", "</tool_calls>")
NEMOTRON = _list_between("nemotron", "<TOOLCALL>", "</TOOLCALL>")
