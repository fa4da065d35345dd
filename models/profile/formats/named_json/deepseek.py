"""Calls of DeepSeek: V3 and R1 write JSON in a code block, V3.1 writes it as it is."""

# The full-width characters are those of the tokens.
# ruff: noqa: RUF001

from dataclasses import replace

from models.profile.formats.call_format import CallFormat

_V3 = CallFormat(
    style="deepseek",
    opener="<｜tool▁calls▁begin｜>",
    head="<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
    after_name="\n```json\n",
    tail="\n```",
    closer="<｜tool▁call▁end｜>",
    separator="\n",
    end="<｜tool▁calls▁end｜>",
    takes_text=True,
)
_V31 = CallFormat(
    style="deepseek_v31",
    opener="<｜tool▁calls▁begin｜>",
    head="<｜tool▁call▁begin｜>",
    after_name="<｜tool▁sep｜>",
    tail="",
    closer="<｜tool▁call▁end｜>",
    end="<｜tool▁calls▁end｜>",
    takes_text=True,
)
DEEPSEEK = replace(_V3, also=(_V31,))
DEEPSEEK_V31 = replace(_V31, also=(_V3,))
