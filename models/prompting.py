"""From a response's parameters and items to the tokens that its model is given.

The API counts with it before it accepts a request, the worker generates from it.
"""

from collections.abc import Sequence
from typing import Any

from models.chat import ChatEncoder, Prompt
from models.truncation import fit, room_for_prompt
from models.wire.parameters import GenerationParameters


def prompt_tokens(
    encoder: ChatEncoder, parameters: GenerationParameters, items: Sequence[dict[str, Any]]
) -> list[int]:
    """The token ids of the prompt; with `truncation: auto`, without its oldest turns if need be."""
    prompt = Prompt(
        instructions=parameters.instructions,
        items=items,
        verbosity=parameters.text.verbosity if parameters.text else None,
    )
    if parameters.truncation != "auto":
        return encoder.encode(prompt)
    room = room_for_prompt(encoder.context_length, parameters.output_limit)
    return fit(encoder.encode, prompt, room)
