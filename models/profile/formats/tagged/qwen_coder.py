"""Calls of Qwen3-Coder, Qwen3.5, Nemotron 3, Step 3.7 and MiMo V2, and of Seed-OSS."""

from models.profile.formats.call_format import CallFormat, TaggedArguments

QWEN_CODER = CallFormat(
    style="qwen_coder",
    opener="<tool_call>",
    after_opener="\n",
    head="<function=",
    after_name=">\n",
    arguments=TaggedArguments(before_name="<parameter=", after_name=">\n", closer="\n</parameter>"),
    tail="</function>",
    closer="\n</tool_call>",
    separator="\n<tool_call>\n",
)
SEED = CallFormat(
    style="seed",
    opener="<seed:tool_call>",
    after_opener="\n",
    head="<function=",
    after_name=">\n",
    arguments=TaggedArguments(before_name="<parameter=", after_name=">", closer="</parameter>"),
    tail="</function>",
    closer="\n</seed:tool_call>",
    separator="\n<seed:tool_call>\n",
)
