"""Small tokenizers of the kinds that models have, with control tokens of their own."""

from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)

_CORPUS = (
    "You are a helpful assistant. The user asks where it is, and the model answers with a call.",
    '{"type": "function", "function": {"name": "find", "description": "Find the place."}}',
    "<|im_start|>system <|im_end|> <think> </think> <tool_call> im_start im_end start end tool",
)
_SPLIT = Regex(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+(?!\S)|\s+")


def byte_level(
    control: Iterable[AddedToken],
    *,
    ignores_merges: bool = False,
    normalizer: normalizers.Normalizer | None = None,
) -> Tokenizer:
    """Return a byte-level tokenizer, such as those of GPT, Llama 3 and Qwen."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(_SPLIT, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    tokenizer.model.ignore_merges = ignores_merges
    tokenizer.decoder = decoders.ByteLevel()
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.add_tokens(list(control))
    return tokenizer


def sentencepiece(
    control: Sequence[AddedToken], *, prefix: normalizers.Normalizer | None = None
) -> Tokenizer:
    """Return a tokenizer as of a sentencepiece model, such as those of Mistral and Gemma.

    Its merges make control tokens of plain text, as those do that were converted carelessly.
    """
    words = [f"▁{word}" for line in _CORPUS for word in line.split()]
    spellings = [token.content for token in control]
    merges = list(dict.fromkeys(pair for word in (*words, *spellings) for pair in _merges(word)))
    alphabet = dict.fromkeys(
        [*map(chr, range(33, 127)), "▁", "\n", *(char for text in spellings for char in text)]
    )
    pieces = [
        "<unk>",
        *(f"<0x{byte:02X}>" for byte in range(256)),
        *alphabet,
        *(first + second for first, second in merges),
    ]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(
        models.BPE(
            vocab=vocabulary, merges=merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True
        )
    )
    replace = normalizers.Replace(" ", "▁")
    tokenizer.normalizer = normalizers.Sequence([prefix, replace]) if prefix else replace
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer.add_tokens(list(control))
    return tokenizer


def unigram(control: Sequence[AddedToken]) -> Tokenizer:
    """Return a tokenizer of normalized text that finds control tokens among its pieces."""
    words = dict.fromkeys(f"▁{word.lower()}" for line in _CORPUS for word in line.split())
    characters = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    pieces = [("<unk>", 0.0), ("▁", -3.0), ("\n", -5.0)]
    pieces += [(character, -6.0) for character in characters]
    pieces += [(word, -4.0) for word in words]
    known = {piece for piece, _ in pieces}
    pieces += [(token.content, 0.0) for token in control if token.content not in known]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first", split=False)
    tokenizer.add_tokens(list(control))
    return tokenizer


def special(
    *texts: str, normalized: bool = False, rstrip: bool = False, lstrip: bool = False
) -> list[AddedToken]:
    """Return special tokens with these texts."""
    return [
        AddedToken(text, special=True, normalized=normalized, rstrip=rstrip, lstrip=lstrip)
        for text in texts
    ]


def added(*texts: str) -> list[AddedToken]:
    """Return added tokens that are not special, which decoders show."""
    return [AddedToken(text, special=False, normalized=False) for text in texts]


def _merges(word: str) -> list[tuple[str, str]]:
    prefixes = list(accumulate(word))
    return [(before, after[len(before) :]) for before, after in pairwise(prefixes)]
