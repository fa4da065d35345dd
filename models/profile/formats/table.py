"""Table of the formats of tool calls, each with the marks by which a chat template shows it."""

# The full-width characters are those of the tokens.
# ruff: noqa: RUF001

import re
from dataclasses import replace
from functools import cache
from typing import NamedTuple

from models.profile.formats.call_format import CallFormat
from models.profile.formats.json_in_tags.apertus import APERTUS
from models.profile.formats.json_in_tags.command import COMMAND
from models.profile.formats.json_in_tags.hermes import HERMES
from models.profile.formats.json_in_tags.internlm import INTERNLM
from models.profile.formats.json_in_tags.lists import GRANITE, NEMOTRON, PHI, TOOL_CALLS
from models.profile.formats.json_in_tags.llama import LLAMA, LLAMA_AFTER_TOKEN
from models.profile.formats.json_in_tags.longcat import LONGCAT
from models.profile.formats.json_in_tags.mistral import MISTRAL
from models.profile.formats.literals.gemma import FUNCTION_GEMMA, GEMMA_4
from models.profile.formats.literals.llama import LLAMA_PYTHON
from models.profile.formats.literals.python import LFM, OLMO, TOOL_CODE
from models.profile.formats.named_json.deepseek import DEEPSEEK, DEEPSEEK_V31
from models.profile.formats.named_json.harmony import HARMONY
from models.profile.formats.named_json.kimi import KIMI
from models.profile.formats.named_json.mistral import MISTRAL_ARGS
from models.profile.formats.tagged.glm import GLM
from models.profile.formats.tagged.invoke import DSML, DSML_V4, MINIMAX
from models.profile.formats.tagged.kimi_k3 import KIMI_K3
from models.profile.formats.tagged.qwen_coder import QWEN_CODER, SEED


class FormatRow(NamedTuple):
    """A format, and the texts that a chat template must all contain to use it."""

    call_format: CallFormat
    marks: tuple[str, ...]
    also: tuple[CallFormat, ...] = ()
    """Formats in which the same models write calls at times."""


FORMATS: tuple[FormatRow, ...] = (
    FormatRow(HARMONY, ("<|channel|>", "<|start|>")),
    FormatRow(DSML_V4, ("｜DSML｜", "tool_calls>")),
    FormatRow(DSML, ("｜DSML｜",)),
    FormatRow(KIMI_K3, ("<|open|>", "<|sep|>", "<|close|>")),
    FormatRow(KIMI, ("<|tool_call_begin|>",)),
    FormatRow(DEEPSEEK, ("<｜tool▁calls▁begin｜>", "```json")),
    FormatRow(DEEPSEEK_V31, ("<｜tool▁calls▁begin｜>",)),
    FormatRow(COMMAND, ("<|START_ACTION|>",)),
    FormatRow(GEMMA_4, ("<|tool_call>",)),
    FormatRow(FUNCTION_GEMMA, ("<start_function_call>",)),
    FormatRow(PHI, ("<|tool_call|>", "<|tool|>")),
    FormatRow(GRANITE, ("<|tool_call|>",)),
    FormatRow(LFM, ("<|tool_call_start|>",)),
    FormatRow(APERTUS, ("<|tools_prefix|>",)),
    FormatRow(INTERNLM, ("<|plugin|>",)),
    FormatRow(MINIMAX, ("<minimax:tool_call>",)),
    FormatRow(SEED, ("<seed:tool_call>",)),
    FormatRow(LONGCAT, ("<longcat_tool_call>",)),
    FormatRow(GLM, ("<tool_call>", "<arg_key>")),
    FormatRow(QWEN_CODER, ("<tool_call>", "<function="), (HERMES,)),
    FormatRow(MISTRAL_ARGS, ("[TOOL_CALLS]", "[ARGS]"), (MISTRAL,)),
    FormatRow(MISTRAL, ("[TOOL_CALLS]",)),
    FormatRow(HERMES, ("<tool_call>",)),
    FormatRow(NEMOTRON, ("<TOOLCALL>",)),
    FormatRow(TOOL_CALLS, ("<tool_calls>",)),
    FormatRow(OLMO, ("<function_calls>",)),
    FormatRow(TOOL_CODE, ("```tool_code",)),
    FormatRow(LLAMA, ("python_tag",), (LLAMA_AFTER_TOKEN, LLAMA_PYTHON)),
    FormatRow(LLAMA, ("ipython", '"parameters"'), (LLAMA_AFTER_TOKEN, LLAMA_PYTHON)),
    FormatRow(LLAMA_PYTHON, ("ipython",), (LLAMA, LLAMA_AFTER_TOKEN)),
)
"""The first whose marks a template contains is that of the weights."""

GENERIC = replace(HERMES, also=(TOOL_CODE,))
"""Format for models whose chat template supports no tools or uses an unknown format.

Gemma 3 is told of tools so, and calls them in its own way all the same.
"""
CALL_FORMATS: dict[str, CallFormat] = {
    row.call_format.style: replace(row.call_format, also=row.call_format.also + row.also)
    for row in FORMATS
}


def find_format(template: str) -> CallFormat | None:
    """Return the format in which a chat template writes calls; None if it writes none."""
    found = (row for row in FORMATS if all(mark in template for mark in row.marks))
    row = next(found, None)
    return None if row is None else CALL_FORMATS[row.call_format.style]


def describes_tools(template: str) -> bool:
    """Return True if a chat template describes tools to the model."""
    return re.search(r"\btools\b", template) is not None


@cache
def generic_beside(style: str) -> CallFormat:
    """Return the generic format, beside which calls in a format of the weights are read."""
    own = CALL_FORMATS[style]
    return replace(GENERIC, also=(*GENERIC.also, own, *own.also))
