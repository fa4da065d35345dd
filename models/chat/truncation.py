"""`truncation: auto`: removal of the oldest turns of a prompt that is too long.

A turn is a user message and all items up to the next user message; turns are dropped whole, oldest
first. System and developer messages and the newest turn are kept, and a function's output is never
kept without its call. The result is deterministic, so API and worker build the same prompt.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence, Sized
from dataclasses import replace
from itertools import pairwise
from typing import Any, TypeVar

from models.chat.prompt import Prompt
from models.chat.prompt_tokenizer import PromptTooLongError
from models.schemas.items import CALL_OF_OUTPUT

USUAL_OUTPUT = 1024
"""Number of tokens reserved for the output if the request sets no limit."""
MAX_RESERVED = 0.25
"""Maximum fraction of the context length that is reserved for the output."""

IMAGE_SIZE = 1000
"""Estimated size of an image in characters of prompt text."""
CHARACTERS_PER_TOKEN = 10
"""Upper bound of the average number of characters per token in ordinary text."""

_TEXT_FIELDS = ("content", "output", "arguments", "input", "name")

Item = dict[str, Any]


Encoded = TypeVar("Encoded", bound=Sized)
"""Encoded prompt, whose `len` is its number of tokens."""


def room_for_prompt(context_length: int, max_output_tokens: int | None) -> int:
    """Return the number of tokens that a prompt may have, so that the output has room."""
    reserved = min(max_output_tokens or USUAL_OUTPUT, int(context_length * MAX_RESERVED))
    return context_length - reserved


def fit(encode: Callable[[Prompt], Encoded], prompt: Prompt, room: int) -> Encoded:
    """Encode the prompt without its oldest turns, so that it has at most `room` tokens.

    The result is longer than `room` if the items that must be kept are; `PromptTooLongError` is
    raised if they are so much longer that `encode` raises it.
    """
    sizes = [_size(item) for item in prompt.items]
    turns = _droppable_turns(prompt.items)
    dropped: set[int] = set()
    # A prompt that is clearly too long is cut before it is encoded, which would be expensive.
    excess: float = sum(sizes) - room * CHARACTERS_PER_TOKEN
    while True:
        if excess > 0:
            dropped |= _pop_oldest(turns, sizes, excess)
        kept = [item for position, item in enumerate(prompt.items) if position not in dropped]
        try:
            encoded = encode(replace(prompt, items=kept))
        except PromptTooLongError as error:
            if not turns:
                raise
            num_tokens = error.num_tokens
        else:
            num_tokens = len(encoded)
            if num_tokens <= room or not turns:
                return encoded
        # Estimated from text lengths: encoding each item would cost more than another attempt.
        excess = max(1, sum(sizes) * (num_tokens - room) / num_tokens)


def _pop_oldest(turns: list[set[int]], sizes: list[int], excess: float) -> set[int]:
    """Pop the oldest turns until they add up to `excess` characters; return their positions."""
    dropped: set[int] = set()
    while turns and excess > 0:
        dropped |= turns.pop(0)
        for position in dropped:
            excess -= sizes[position]
            sizes[position] = 0
    return dropped


def _droppable_turns(items: Sequence[Item]) -> list[set[int]]:
    """Return the positions of the items of each turn that may be dropped, the oldest first."""
    starts = [position for position, item in enumerate(items) if _is_from_user(item)]
    if not starts:
        return []
    bounds = [0, *starts[1:]]
    turns = [
        {position for position in range(start, end) if not must_keep(items[position])}
        for start, end in pairwise(bounds)
    ]
    outputs: defaultdict[object, set[int]] = defaultdict(set)
    for position, item in enumerate(items):
        if item.get("type") in CALL_OF_OUTPUT:
            outputs[item["call_id"]].add(position)
    for turn in turns:
        call_ids = [items[position].get("call_id", "") for position in turn]
        for call_id in call_ids:
            turn |= outputs.get(call_id, set())
    # A turn whose calls are answered in the newest turn is kept.
    newest = bounds[-1]
    return [turn for turn in turns if turn and max(turn) < newest]


def _is_from_user(item: Item) -> bool:
    return item.get("role") == "user"


def must_keep(item: Item) -> bool:
    """Return True for an item that stays whatever else is left out."""
    # What tools an item brings, later calls rely on.
    return item.get("role") in ("system", "developer") or item.get("type") == "additional_tools"


def _size(item: Item) -> int:
    """Return the approximate size of an item in characters."""
    return sum(_length(item.get(field)) for field in _TEXT_FIELDS)


def _length(text: Any) -> int:
    if isinstance(text, str):
        return len(text)
    parts = text if isinstance(text, list) else []
    return sum(
        IMAGE_SIZE
        if part.get("type") == "input_image"
        else len(part.get("text") or part.get("refusal") or "")
        for part in parts
    )
