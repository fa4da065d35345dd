"""Conversion of a response's parameters and items to the tokens of its prompt.

The API counts the tokens before it accepts a request; the worker generates from them.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from models.chat.messages import last_user_position
from models.chat.prompt import ChatEncoder, EncodedPrompt, Prompt
from models.chat.truncation import fit, room_for_prompt
from models.schemas.items import CALL_OF_OUTPUT
from models.schemas.request.parameters import GenerationParameters
from models.tools.choice import call_rule, needs_generic
from models.tools.prompt import chat_tools
from models.tools.search_choice import offered_search
from models.tools.web_search import tool_prompt

_NO_QUESTION = {"type": "message", "role": "user", "content": ""}
"""Message of a warm-up that has none of a user, which templates demand and the next turn has."""


def encode_prompt(
    encoder: ChatEncoder, parameters: GenerationParameters, items: Sequence[dict[str, Any]]
) -> EncodedPrompt:
    """Encode the prompt; with `truncation: auto`, drop the oldest turns until it fits."""
    context = parameters.reasoning.context if parameters.reasoning else None
    search, rule = offered_search(parameters), call_rule(parameters)
    if parameters.is_warm_up and not any(item.get("role") == "user" for item in items):
        items = [*items, _NO_QUESTION]
    prompt = Prompt(
        instructions=parameters.instructions,
        items=_of_current_turn(items) if context == "current_turn" else items,
        verbosity=parameters.text.verbosity if parameters.text else None,
        effort=parameters.effort,
        keeps_reasoning=context == "all_turns",
        tools=chat_tools(rule.shown, describes_parameters=encoder.profile.describes_parameters),
        is_generic=needs_generic(parameters, encoder.profile),
        tool_prompt=tool_prompt(search, encoder.mark) if search else None,
    )
    if parameters.truncation != "auto":
        encoded = encoder.encode_media(prompt)
    else:
        room = room_for_prompt(encoder.context_length, parameters.output_limit)
        encoded = fit(encoder.encode_media, prompt, room)
    is_after_output = bool(items) and items[-1].get("type") in CALL_OF_OUTPUT
    return replace(encoded, is_after_tool_output=is_after_output)


def _of_current_turn(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the items without the reasoning that comes before the last user message."""
    start = last_user_position(items)
    return [
        item
        for position, item in enumerate(items)
        if position > start or item.get("type") != "reasoning"
    ]
