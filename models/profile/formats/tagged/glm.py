"""Calls of GLM-4.5 to GLM-5, and of Laguna."""

from models.profile.formats.call_format import CallFormat, TaggedArguments

GLM = CallFormat(
    style="glm",
    opener="<tool_call>",
    head="",
    after_name="\n",
    arguments=TaggedArguments(
        before_name="<arg_key>",
        after_name="</arg_key>\n<arg_value>",
        closer="</arg_value>",
    ),
    tail="",
    closer="</tool_call>",
    separator="\n<tool_call>",
)
