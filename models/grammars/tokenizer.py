"""Tokenizer of grammars: to it, text that spells a special token is text like any other."""

import secrets
from collections.abc import Sequence
from copy import copy

import orjson
from llguidance import LLTokenizer
from transformers import PreTrainedTokenizerFast

from models.chat.control_tokens import rename_tokens

_SECRET_BYTES = 10


def grammar_tokenizer(
    tokenizer: PreTrainedTokenizerFast,
    *,
    num_tokens: int | None = None,
    eos_token_ids: Sequence[int] = (),
    slices: Sequence[str] | None = None,
) -> LLTokenizer:
    """Return the tokenizer of grammars for a model's tokenizer; it takes a second.

    A grammar that forces `<|im_end|>` as text would otherwise be followed with that token, which
    it does not allow. So special tokens have other names here, drawn at random. `num_tokens` is
    the size of the vocabulary if it is not the tokenizer's own.
    """
    backend = copy(tokenizer.backend_tokenizer)
    backend.no_padding()
    backend.no_truncation()
    config = orjson.loads(backend.to_str())
    secret = secrets.token_hex(_SECRET_BYTES)
    names = {
        token["content"]: f"<{secret}{number}>"
        for number, token in enumerate(config["added_tokens"])
        if token["special"]
    }
    text = orjson.dumps(rename_tokens(config, names)).decode()
    eos: int | list[int] | None = list(eos_token_ids) or tokenizer.eos_token_id
    return LLTokenizer(
        text, n_vocab=num_tokens, eos_token=eos, slices=None if slices is None else list(slices)
    )
