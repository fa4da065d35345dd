"""Tokenizer of grammars: to it, text that spells a special token is text like any other."""

import secrets
from collections.abc import Sequence
from copy import copy

import orjson
from llguidance import LLTokenizer
from transformers import PreTrainedTokenizerFast

from models.chat.control_tokens import rename_tokens

TOKEN_SLICES = (
    *LLTokenizer.json_slices(),
    *(r"[a-z]{1,24}", r"[a-z ]{1,24}", r"[a-zA-Z ]{1,24}"),
)
"""Token slices: where a grammar allows all matches of a regex, its tokens are not tested singly.

llguidance's defaults are for JSON strings. With these for plain text, a mask of
`[a-zA-Z ,.]{1000}` takes 0.02 ms instead of 0.5.
"""

_SECRET_BYTES = 10


def grammar_tokenizer(
    tokenizer: PreTrainedTokenizerFast,
    *,
    num_tokens: int | None = None,
    eos_token_ids: Sequence[int] = (),
) -> LLTokenizer:
    """Return the tokenizer of grammars for a model's tokenizer; it takes a second.

    `num_tokens` is the size of the vocabulary if it is not the tokenizer's own.
    """
    eos: int | list[int] | None = list(eos_token_ids) or tokenizer.eos_token_id
    return LLTokenizer(
        rename_special_tokens(tokenizer),
        n_vocab=num_tokens,
        eos_token=eos,
        slices=list(TOKEN_SLICES),
    )


def rename_special_tokens(tokenizer: PreTrainedTokenizerFast) -> str:
    """Return a tokenizer as JSON in which special tokens have other names, drawn at random.

    A grammar that forces `<|im_end|>` as text would otherwise be followed with that token, which
    it does not allow.
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
    return orjson.dumps(rename_tokens(config, names)).decode()
