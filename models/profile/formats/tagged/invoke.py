"""Calls with `invoke` and `parameter` tags: MiniMax M2, and DeepSeek V3.2 and V4 (DSML)."""

# The full-width characters are those of the tokens.
# ruff: noqa: RUF001

from models.profile.formats.call_format import CallFormat, TaggedArguments


def _invocations(
    style: str, section: str, mark: str, after_name: str, after_other_name: str = ""
) -> CallFormat:
    return CallFormat(
        style=style,
        opener=f"<{section}>",
        after_opener="\n",
        head=f'<{mark}invoke name="',
        after_name='">\n',
        arguments=TaggedArguments(
            before_name=f'<{mark}parameter name="',
            after_name=after_name,
            after_other_name=after_other_name,
            closer=f"</{mark}parameter>",
        ),
        tail=f"</{mark}invoke>",
        separator="\n",
        end=f"\n</{section}>",
    )


def _dsml(style: str, section: str) -> CallFormat:
    typed = ('" string="true">', '" string="false">')
    return _invocations(style, f"｜DSML｜{section}", "｜DSML｜", *typed)


MINIMAX = _invocations("minimax", "minimax:tool_call", "", '">')
DSML = _dsml("dsml", "function_calls")
DSML_V4 = _dsml("dsml_v4", "tool_calls")
