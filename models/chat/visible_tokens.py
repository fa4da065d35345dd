"""Special tokens that are part of a model's visible output."""

from collections.abc import Collection
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def show_tokens(tokenizer: "PreTrainedTokenizerFast", texts: Collection[str]) -> None:
    """Turn the special tokens within these texts into ordinary ones, for decoding and grammars."""
    from tokenizers import Tokenizer

    joined = "\n".join(texts)
    added = tokenizer.added_tokens_decoder.values()
    if not any(token.special and token.content in joined for token in added):
        return
    config = orjson.loads(tokenizer.backend_tokenizer.to_str())
    for token in config["added_tokens"]:
        token["special"] &= token["content"] not in joined
    # The library has no other way to change an existing token.
    tokenizer._tokenizer = Tokenizer.from_str(orjson.dumps(config).decode())


def is_special_in_grammars(text: str) -> bool:
    """Return True if llguidance takes an added token for a special one because of its text.

    It allows such a token only where a grammar names it by its id, such as `<tool_call>` of Qwen.
    """
    return text.startswith("<") and text.endswith(">")
