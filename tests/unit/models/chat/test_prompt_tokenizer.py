"""Limits of the tokenizer of prompts: texts far too long are refused before they are tokenised."""

from typing import Any

import orjson
import pytest
from tokenizers import AddedToken, Tokenizer, normalizers
from tokenizers.models import BPE, WordLevel

from models.chat.control_tokens import ControlTokens
from models.chat.prompt_tokenizer import LONG_TEXT, PromptTokenizer, PromptTooLongError
from models.chat.token_lengths import max_characters_per_token
from tests.unit.models.tiny_tokenizer import tiny_tokenizer

CONTEXT = 1000


class CountingTokenizer:
    """Tokenizer that adds up how many characters it was given."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.num_characters = 0

    def encode_batch_fast(self, texts: list[str], **keywords: Any) -> Any:
        self.num_characters += sum(map(len, texts))
        return self._tokenizer.encode_batch_fast(texts, **keywords)


def make(
    max_characters: int | None, context: int = CONTEXT
) -> tuple[PromptTokenizer, CountingTokenizer]:
    control = ControlTokens(tiny_tokenizer().backend_tokenizer, "")
    counting: Any = CountingTokenizer(control.tokenizer)
    control.tokenizer = counting
    control.max_characters = max_characters
    return PromptTokenizer(control, "tiny", context), counting


def test_a_text_that_is_a_little_too_long_is_counted_whole() -> None:
    tokenizer, _ = make(max_characters=8)

    assert len(tokenizer.encode("a" * 2 * CONTEXT)) == 2 * CONTEXT


def test_a_text_whose_length_alone_is_too_much_is_not_tokenised() -> None:
    tokenizer, counting = make(max_characters=8)

    with pytest.raises(PromptTooLongError, match="at least 125000 tokens") as raised:
        tokenizer.encode("a" * 1_000_000)

    assert raised.value.num_tokens == 125_000
    assert (raised.value.param, raised.value.code) == ("input", "context_length_exceeded")
    assert counting.num_characters == 0


def test_without_a_bound_only_a_part_is_tokenised() -> None:
    tokenizer, counting = make(max_characters=None)

    with pytest.raises(PromptTooLongError, match="at least 2000 tokens") as raised:
        tokenizer.encode("a" * 1_000_000)

    assert raised.value.num_tokens == 1_000_000
    assert counting.num_characters == 2 * CONTEXT


def test_a_long_text_that_fits_has_all_its_tokens() -> None:
    num_characters = 2 * LONG_TEXT
    tokenizer, _ = make(max_characters=8, context=num_characters + 1)

    assert len(tokenizer.encode("a" * num_characters)) == num_characters


def config_of(model: Any, **parts: Any) -> dict[str, Any]:
    tokenizer = Tokenizer(model)
    for name, part in parts.items():
        setattr(tokenizer, name, part)
    config: dict[str, Any] = orjson.loads(tokenizer.to_str())
    return config


def bpe(**options: Any) -> BPE:
    return BPE(vocab={"<unk>": 0, "a": 1, "b": 2, "ab": 3}, merges=[("a", "b")], **options)


@pytest.mark.parametrize(
    ("model", "normalizer", "expected"),
    [
        (bpe(), None, 5),
        (bpe(unk_token="<unk>", byte_fallback=True), None, 5),
        (bpe(unk_token="<unk>", fuse_unk=True), None, None),
        (WordLevel({"<unk>": 0}, unk_token="<unk>"), None, None),
        (bpe(), normalizers.NFC(), 15),
        (bpe(), normalizers.Replace(" ", "▁"), 5),
        (bpe(), normalizers.Replace("  ", " "), None),
        (bpe(), normalizers.Strip(), None),
        (bpe(), normalizers.Sequence([normalizers.Prepend("▁"), normalizers.NFC()]), 15),
        (bpe(), normalizers.Sequence([normalizers.NFC(), normalizers.Strip()]), None),
    ],
)
def test_the_longest_token_bounds_the_number_of_tokens(
    model: Any, normalizer: Any, expected: int | None
) -> None:
    parts = {} if normalizer is None else {"normalizer": normalizer}

    assert max_characters_per_token(config_of(model, **parts)) == expected


def test_a_token_that_takes_white_space_with_it_leaves_no_bound() -> None:
    tokenizer = Tokenizer(bpe())
    tokenizer.add_special_tokens([AddedToken("<end>", rstrip=True)])

    assert max_characters_per_token(orjson.loads(tokenizer.to_str())) is None
