"""`include`: what is shown beyond the usual, in answers and in what is read later."""

from typing import Literal

Include = Literal[
    "message.output_text.logprobs",
    "reasoning.encrypted_content",
    "file_search_call.results",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "web_search_call.action.sources",
    "code_interpreter_call.outputs",
]
