"""Tokenizers of GGUF files split text as the rule does that the metadata name."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from tokenizers import pre_tokenizers
from transformers.integrations.gguf.gguf_tokenizer_mapping import (
    GGUF_PRE_TOKENIZER_SPLITS,
    GGUF_TOKENIZER_TYPES,
)

from tests.unit.worker.weights.gguf.exporter import TOKENS, VOCAB_SIZE
from worker.weights.gguf.checks.vocabulary import BUILT_IN_RULES, KINDS, OWN_RULES
from worker.weights.gguf.tokenizer import SPLITS, make_tokenizer

TEXT = "I'm 12345,\n\nfoo.bar() 中文かな x  y"
GPT_2 = [
    *("I", "'m", " 12345", ",", "\n", "\n", "foo", ".", "bar", "()", " 中文かな", " x", " ", " y"),
]
RULES: dict[str | None, list[str]] = {
    None: GPT_2,
    "gpt-2": GPT_2,
    "smollm": [
        *("I", "'m", " ", "1", "2", "3", "4", "5", ",", "\n", "\n", "foo", ".", "bar", "()"),
        *(" 中文かな", " x", " ", " y"),
    ],
    "glm4": [
        *("I", "'m", " ", "123", "45", ",\n\n", "foo", ".bar", "()", " 中文かな", " x", " ", " y"),
    ],
    "deepseek-v3": [
        *(
            "I",
            "'m",
            " ",
            "123",
            "45",
            ",\n\n",
            "foo",
            ".bar",
            "()",
            " ",
            "中文かな",
            " x",
            " ",
            " y",
        ),
    ],
    "deepseek-llm": [
        *("I", "'", "m", " ", "12345", ",", "\n", "\n", "foo", ".", "bar", "()", " ", "中文かな"),
        *(" x", " ", " y"),
    ],
    "kimi-k2": [
        *(
            "I'm",
            " ",
            "123",
            "45",
            ",\n\n",
            "foo",
            ".bar",
            "()",
            " ",
            "中文",
            "かな",
            " x",
            " ",
            " y",
        ),
    ],
    "seed-coder": [
        *("I", "'m", " ", "1", "2", "3", "4", "5", ",", "\n\n", "foo", ".bar", "()", " 中文かな"),
        *(" x", " ", " y"),
    ],
}
"""What each rule makes of the text; None for a file without one."""


def write(file: Path, rule: str | None) -> Path:
    """Write a file with a tokenizer and hardly more."""
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_tokenizer_model("gpt2")
    if rule is not None:
        writer.add_tokenizer_pre(rule)
    writer.add_token_list(TOKENS)
    writer.add_token_types([gguf.TokenType.NORMAL] * VOCAB_SIZE)
    writer.add_token_merges(["a b"])
    writer.add_tensor("token_embd.weight", np.ones((4, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_text_is_split_by_the_rule(rule: str | None, tmp_path: Path) -> None:
    tokenizer: Any = make_tokenizer(write(tmp_path / "tiny.gguf", rule))

    splitter = tokenizer.backend_tokenizer.pre_tokenizer
    found = [TEXT[start:end] for _, (start, end) in splitter.pre_tokenize_str(TEXT)]
    assert found == RULES[rule]
    assert tokenizer.decode(tokenizer.encode(TEXT)) == TEXT


def test_rules_and_kinds_that_are_let_through_are_those_that_are_known() -> None:
    assert GGUF_PRE_TOKENIZER_SPLITS.keys() == BUILT_IN_RULES
    assert SPLITS.keys() == OWN_RULES
    assert GGUF_TOKENIZER_TYPES.keys() == KINDS


def test_a_splitter_of_its_own_is_kept_in_tokenizer_json(tmp_path: Path) -> None:
    tokenizer: Any = make_tokenizer(write(tmp_path / "tiny.gguf", "deepseek-v3"))
    tokenizer.save_pretrained(tmp_path)

    again: Any = type(tokenizer).from_pretrained(tmp_path)

    assert isinstance(again.backend_tokenizer.pre_tokenizer, pre_tokenizers.Sequence)
