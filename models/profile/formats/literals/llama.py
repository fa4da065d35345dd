"""Calls of the smaller Llama 3.2 and of Llama 4: a list of calls as in Python."""

from models.profile.formats.call_format import PYTHON, CallFormat

LLAMA_PYTHON = CallFormat(
    style="llama_python",
    after_opener="[",
    head="",
    after_name="(",
    arguments=PYTHON,
    tail=")",
    separator=", ",
    end="]",
    takes_one_call=True,
    start_pattern=r"\[[a-zA-Z_][a-zA-Z0-9_\-]*\(",
)
