"""Length of a tokenizer's longest token, which bounds the number of tokens from below."""

from math import prod
from typing import Any

_NFC_CONTRACTION = 3
"""Most characters that normalization form C makes one of, as of a Korean syllable."""


def max_characters_per_token(config: dict[str, Any]) -> int | None:
    """Return the most characters of text that one token stands for; None if there is no bound.

    `config` is the content of a `tokenizer.json`. There is no bound if a tokenizer drops or merges
    text: unknown characters, repeated spaces, or the white space around a token.
    """
    model = config["model"]
    if model["type"] != "BPE" or not (model["unk_token"] is None or model["byte_fallback"]):
        return None
    added = config["added_tokens"]
    contraction = _contraction(config["normalizer"])
    if contraction is None or any(token["lstrip"] or token["rstrip"] for token in added):
        return None
    # In the vocabularies of byte-level tokenizers, each byte is a character.
    texts = (*model["vocab"], *(token["content"] for token in added))
    return contraction * max(map(len, texts))


def _contraction(normalizer: dict[str, Any] | None) -> int | None:
    """Return the factor by which a normalizer may shorten text; None if it is not known."""
    match normalizer:
        case None:
            return 1
        case {"type": "NFC"}:
            return _NFC_CONTRACTION
        case {"type": "Replace", "pattern": {"String": str(old)}, "content": str(new)}:
            return 1 if len(new) >= len(old) else None
        case {"type": "Prepend"}:
            return 1
        case {"type": "Sequence", "normalizers": list(steps)}:
            factors = [_contraction(step) for step in steps]
            known = [factor for factor in factors if factor is not None]
            return prod(known) if len(known) == len(factors) else None
    return None
