"""Conversion of a response's parameters and items to the tokens of its prompt.

The API counts the tokens before it accepts a request; the worker generates from them.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from models.chat.prompt import ChatEncoder, EncodedPrompt, Prompt
from models.chat.truncation import fit, room_for_prompt
from models.schemas.request.parameters import GenerationParameters
from models.tools.choice import call_rule
from models.tools.prompt import chat_tools
from models.tools.web_search import offered_search, tool_prompt

_NO_QUESTION = {"type": "message", "role": "user", "content": ""}
"""Message of a warm-up that has none of a user, which templates demand and the next turn has."""


def encode_prompt(
    encoder: ChatEncoder, parameters: GenerationParameters, items: Sequence[dict[str, Any]]
) -> EncodedPrompt:
    """Encode the prompt; with `truncation: auto`, drop the oldest turns until it fits."""
    search = offered_search(parameters)
    if parameters.is_warm_up and not any(item.get("role") == "user" for item in items):
        items = [*items, _NO_QUESTION]
    prompt = Prompt(
        instructions=parameters.instructions,
        items=items,
        verbosity=parameters.text.verbosity if parameters.text else None,
        effort=parameters.effort,
        tools=chat_tools(call_rule(parameters).shown),
        tool_prompt=tool_prompt(search, encoder.mark) if search else None,
    )
    if parameters.truncation != "auto":
        encoded = encoder.encode_media(prompt)
    else:
        room = room_for_prompt(encoder.context_length, parameters.output_limit)
        encoded = fit(encoder.encode_media, prompt, room)
    is_after_output = bool(items) and items[-1].get("type") == "function_call_output"
    return replace(encoded, is_after_tool_output=is_after_output)
