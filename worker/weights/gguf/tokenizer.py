"""Tokenizer of a GGUF file, which splits text as the one does that it was made from.

The metadata have vocabulary and merges, and the name of the rule by which text is split before
tokens are merged; llama.cpp has the rules in its code. A file with a rule that is not known is
refused (`checks/vocabulary.py`): most text would have the same tokens, and numbers, line breaks and
punctuation others.
"""

# The characters of all scripts are meant.
# ruff: noqa: RUF001

from pathlib import Path
from typing import Any

from tokenizers import Regex, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from transformers.integrations.gguf.gguf_tokenizer_mapping import (
    GGUF_PRE_TOKENIZER_SPLITS,
    convert_gguf_tokenizer,
    get_gguf_tokenizer,
)

from worker.engine.interface import BadCheckpointError
from worker.weights.gguf.checks.vocabulary import RULES_OF_GPT2, RULES_WITH_DIGITS_FIRST

_IDEOGRAPHS = r"[一-龥぀-ゟ゠-ヿ]+"
_OLD_IDEOGRAPHS = r"[一-龥ࠀ-一가-퟿]+"
_LLAMA_3 = GGUF_PRE_TOKENIZER_SPLITS["llama3"]
_QWEN_2 = GGUF_PRE_TOKENIZER_SPLITS["qwen2"]
_OLD_LETTERS = (
    "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫ"
    "ᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝ\u1f5f-\u1f7dᾀ-ᾴᾶ-ᾼ\u1fbeῂ-ῄῆ-ῌ\u1fd0-\u1fd3\u1fd6-\u1fdbῠ-Ῥ"
    "ῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-\u212dℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇ"
    "Ꞌ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ\U00010400-\U0001044f𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃"
)
_DEEPSEEK_3 = (
    r"\p{N}{1,3}",
    _IDEOGRAPHS,
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
)
_HAN = r"&&[^\p{Han}]]"
_UPPER, _LOWER = (
    rf"[\p{{Lu}}\p{{Lt}}\p{{Lm}}\p{{Lo}}\p{{M}}{_HAN}",
    rf"[\p{{Ll}}\p{{Lm}}\p{{Lo}}\p{{M}}{_HAN}",
)
_ENDING = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
SPLITS: dict[str, tuple[str, ...]] = {
    "deepseek-v3": _DEEPSEEK_3,
    "hunyuan-dense": _DEEPSEEK_3,
    "deepseek-llm": (
        r"[\r\n]",
        rf"\s?[{_OLD_LETTERS}]+",
        r"\s?[!-/:-~！-／：-～‘-‟　-。]+",
        r"\s+$",
        _OLD_IDEOGRAPHS,
        r"\p{N}+",
    ),
    "deepseek-coder": (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _OLD_IDEOGRAPHS, r"\p{N}"),
    "glm4": (_LLAMA_3,),
    "chatglm-bpe": (_LLAMA_3,),
    "stablelm2": (_QWEN_2,),
    "hunyuan": (_QWEN_2,),
    "seed-coder": (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
        r"| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+",
    ),
    "kimi-k2": (
        rf"[\p{{Han}}]+|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_ENDING}"
        rf"|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_ENDING}"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ),
}
"""Regular expressions that split text one after the other, where transformers has none."""
_BUILDERS = {"gemma3n": "gemma3"}
"""Architectures whose vocabulary is built as that of another one."""


def make_tokenizer(file: Path) -> PreTrainedTokenizerFast:
    """Return the tokenizer of a file; raise `BadCheckpointError` if it cannot be converted."""
    try:
        architecture, tokens, config = get_gguf_tokenizer(str(file))
        splitter = _find_splitter(tokens)
        backend, _ = convert_gguf_tokenizer(_BUILDERS.get(architecture, architecture), tokens)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise BadCheckpointError(f"its tokenizer cannot be converted: {reason}") from error
    if splitter is not None:
        backend.pre_tokenizer = splitter
    wrap: Any = PreTrainedTokenizerFast
    wrapped: PreTrainedTokenizerFast = wrap(
        tokenizer_object=backend,
        **{name: value for name, value in config.items() if value is not None},
    )
    return wrapped


def _find_splitter(tokens: dict[str, Any]) -> Any:
    """Return what splits text before merges; None if transformers makes it, or none is needed."""
    rule = tokens.get("pre_tokenizer_type") or "default"
    if tokens.get("tokenizer_type") != "gpt2" or rule in GGUF_PRE_TOKENIZER_SPLITS:
        return None
    if rule in RULES_OF_GPT2:
        return None
    if rule in RULES_WITH_DIGITS_FIRST:
        return _in_turn((r"\p{N}",), has_words=True)
    return _in_turn(SPLITS[rule], has_words=False)


def _in_turn(expressions: tuple[str, ...], *, has_words: bool) -> Any:
    """Return the splitter by all expressions; `has_words` adds the words of GPT-2 after them."""
    steps: list[Any] = [pre_tokenizers.Split(Regex(each), "isolated") for each in expressions]
    return pre_tokenizers.Sequence(
        [*steps, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=has_words)]
    )
