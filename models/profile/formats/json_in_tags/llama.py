"""Calls of Llama 3, of which some begin with a token."""

from dataclasses import replace

from models.profile.formats.call_format import CallFormat

LLAMA = CallFormat(
    style="llama",
    after_name='", "parameters": ',
    separator="; ",
    start_pattern=r'\{[ \n\t]*"name"',
    takes_one_call=True,
)
LLAMA_AFTER_TOKEN = replace(LLAMA, opener="<|python_tag|>")
