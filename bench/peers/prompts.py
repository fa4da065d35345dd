"""Prompts of some 126 tokens in the template of the weights, as text and as token ids."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from bench.client.bodies import story_prompt

Encoder = Callable[[str], list[int]]


def encoder_of(weights: Path) -> Encoder:
    """What makes of a user's text the tokens that a server makes of it."""
    loader: Any = AutoTokenizer
    tokenizer = loader.from_pretrained(weights, local_files_only=True)

    def encode(text: str) -> list[int]:
        message = {"role": "user", "content": text}
        found = tokenizer.apply_chat_template(
            [message], add_generation_prompt=True, tokenize=True, return_dict=False
        )
        return list(found)

    return encode


def stories(seeds: Iterator[int], count: int) -> list[str]:
    """So many prompts that share no prefix with any before."""
    return [story_prompt(next(seeds)) for _ in range(count)]
