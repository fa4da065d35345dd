"""Special tokens that are part of a model's visible output."""

from collections.abc import Collection
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def show_tokens(tokenizer: "PreTrainedTokenizerFast", texts: Collection[str]) -> None:
    """Turn the special tokens with these texts into ordinary ones, for decoding and grammars."""
    from tokenizers import Tokenizer

    added = tokenizer.added_tokens_decoder.values()
    if not any(token.special and token.content in texts for token in added):
        return
    config = orjson.loads(tokenizer.backend_tokenizer.to_str())
    for token in config["added_tokens"]:
        token["special"] &= token["content"] not in texts
    # The library has no other way to change an existing token.
    tokenizer._tokenizer = Tokenizer.from_str(orjson.dumps(config).decode())
