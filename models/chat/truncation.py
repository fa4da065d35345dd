"""`truncation: auto`: which items a prompt goes without when it is too long.

Whole turns go, the oldest first; a turn is a user's message and all that follows it up to the next.
System and developer messages and the newest turn stay, and no output of a function
stays without its call. API and worker come to the same prompt.
"""

from collections.abc import Callable, Sequence, Sized
from dataclasses import replace
from itertools import pairwise
from typing import Any, TypeVar

from models.chat.prompt import Prompt

USUAL_OUTPUT = 1024
"""Tokens that are kept free for the output of a request that does not say how much it wants."""
MAX_RESERVED = 0.25
"""Of the context, at most this much is kept free for the output."""

IMAGE_SIZE = 1000
"""What an image takes of a prompt, guessed in characters."""
CHARACTERS_PER_TOKEN = 10
"""No text worth reading has more, on average."""

Item = dict[str, Any]


Encoded = TypeVar("Encoded", bound=Sized)
"""A prompt as tokens; its length is their number."""


def room_for_prompt(context_length: int, max_output_tokens: int | None) -> int:
    """Tokens that a prompt may have, so that the output has what it will want."""
    reserved = min(max_output_tokens or USUAL_OUTPUT, int(context_length * MAX_RESERVED))
    return context_length - reserved


def fit(encode: Callable[[Prompt], Encoded], prompt: Prompt, room: int) -> Encoded:
    """The prompt, encoded, without as many of its oldest turns as it takes to fit.

    It is longer than `room` where what must stay is.
    """
    sizes = [_size(item) for item in prompt.items]
    turns = _droppable_turns(prompt.items)
    gone: set[int] = set()
    # What is too long by far is not encoded whole only to find that out.
    excess: float = sum(sizes) - room * CHARACTERS_PER_TOKEN
    while True:
        if excess > 0:
            gone |= _oldest(turns, sizes, excess)
        kept = [item for position, item in enumerate(prompt.items) if position not in gone]
        encoded = encode(replace(prompt, items=kept))
        if len(encoded) <= room or not turns:
            return encoded
        # A guess by the length of the texts: encoding each item would cost more than a second try.
        excess = max(1, sum(sizes) * (len(encoded) - room) / len(encoded))


def _oldest(turns: list[set[int]], sizes: list[int], excess: float) -> set[int]:
    """Take the oldest turns until they are `excess` characters long."""
    gone: set[int] = set()
    while turns and excess > 0:
        gone |= turns.pop(0)
        for position in gone:
            excess -= sizes[position]
            sizes[position] = 0
    return gone


def _droppable_turns(items: Sequence[Item]) -> list[set[int]]:
    """The positions of the items of each turn that may go, the oldest first."""
    starts = [position for position, item in enumerate(items) if _is_from_user(item)]
    if not starts:
        return []
    bounds = [0, *starts[1:]]
    turns = [
        {position for position in range(start, end) if not _must_stay(items[position])}
        for start, end in pairwise(bounds)
    ]
    outputs = {
        item["call_id"]: position
        for position, item in enumerate(items)
        if item.get("type") == "function_call_output"
    }
    for turn in turns:
        calls = [items[position].get("call_id") for position in turn]
        turn |= {outputs[call_id] for call_id in calls if call_id in outputs}
    # What the newest turn goes on from is needed for it.
    newest = bounds[-1]
    return [turn for turn in turns if turn and max(turn) < newest]


def _is_from_user(item: Item) -> bool:
    return item.get("role") == "user"


def _must_stay(item: Item) -> bool:
    return item.get("role") in ("system", "developer")


def _size(item: Item) -> int:
    """About how long an item is, in characters."""
    texts = [item.get("content"), item.get("output"), item.get("arguments"), item.get("name")]
    return sum(map(_length, texts))


def _length(text: Any) -> int:
    if isinstance(text, str):
        return len(text)
    parts = text if isinstance(text, list) else []
    return sum(
        IMAGE_SIZE
        if part["type"] == "input_image"
        else len(part.get("text") or part.get("refusal") or "")
        for part in parts
    )
