"""Prompts of about 126 tokens, as text and as token ids in the chat template of the weights."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from bench.client.bodies import story_prompt

_NUM_FIELDS = 64
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {f"part_{number}": {"type": "string"} for number in range(_NUM_FIELDS)},
    "required": [f"part_{number}" for number in range(_NUM_FIELDS)],
    "additionalProperties": False,
}
"""Schema of constrained answers: none is complete within some hundreds of tokens."""

Encoder = Callable[[str], list[int]]


def load_encoder(weights: Path) -> Encoder:
    """Load the tokenizer; return a function from a user's text to the token ids of its prompt."""
    loader: Any = AutoTokenizer
    tokenizer = loader.from_pretrained(weights, local_files_only=True)

    def encode(text: str) -> list[int]:
        message = {"role": "user", "content": text}
        found = tokenizer.apply_chat_template(
            [message], add_generation_prompt=True, tokenize=True, return_dict=False
        )
        return list(found)

    return encode


def story_prompts(seeds: Iterator[int], count: int) -> list[str]:
    """Return `count` prompts with new seeds, so that no prefix cache helps."""
    return [story_prompt(next(seeds)) for _ in range(count)]
