"""Special tokens that are part of what a model says: shown like any other."""

from collections.abc import Collection
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def show_tokens(tokenizer: "PreTrainedTokenizerFast", texts: Collection[str]) -> None:
    """Make tokens ordinary ones, in text and in grammars, if they are special."""
    from tokenizers import Tokenizer

    added = tokenizer.added_tokens_decoder.values()
    if not any(token.special and token.content in texts for token in added):
        return
    described = orjson.loads(tokenizer.backend_tokenizer.to_str())
    for token in described["added_tokens"]:
        token["special"] &= token["content"] not in texts
    # There is no other way to change a token that is there.
    tokenizer._tokenizer = Tokenizer.from_str(orjson.dumps(described).decode())
