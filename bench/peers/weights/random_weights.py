"""Folder of random weights in a given shape, which every peer can load.

The output is random text: only the rows of plain tokens in the output layer are nonzero, so that
every sampled token is printable, and none ends an answer.
"""

import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer, GenerationConfig, LlamaConfig, LlamaForCausalLM

from bench.engines.shapes import SHAPES

_SEED = 1
_CONTEXT = 8192
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def random_weights(shape: str, tokenizer: Path, parent: Path) -> Path:
    """Return the folder `random-…` within `parent`; create it in bfloat16 if it is missing.

    Its tokenizer and its special tokens are those of the folder `tokenizer`.
    """
    folder = parent / f"random-{shape}"
    if not folder.exists():
        partial = parent / f".random-{shape}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _save(shape, tokenizer, partial)
        partial.rename(folder)
    return folder


@torch.inference_mode()
def _save(shape: str, tokenizer: Path, folder: Path) -> None:
    loader: Any = AutoTokenizer
    known = loader.from_pretrained(tokenizer, local_files_only=True)
    special = {"bos_token_id": known.bos_token_id, "eos_token_id": known.eos_token_id}
    config = LlamaConfig(
        **SHAPES[shape], **special, dtype="bfloat16", max_position_embeddings=_CONTEXT
    )
    torch.manual_seed(_SEED)
    build: Any = LlamaForCausalLM
    model = build(config).to(torch.bfloat16)
    head: Tensor = model.lm_head.weight
    head[~plain_token_mask(known, config.vocab_size)] = 0
    model.save_pretrained(folder)
    untyped: Any = GenerationConfig
    untyped(**special).save_pretrained(folder)
    for name in _TOKENIZER:
        shutil.copy(tokenizer / name, folder)


def plain_token_mask(tokenizer: Any, vocabulary_size: int) -> Tensor:
    """Return the mask [vocabulary] of tokens that are words, or parts of them, in ASCII letters."""
    is_plain = torch.zeros(vocabulary_size, dtype=torch.bool)
    for token, token_id in tokenizer.get_vocab().items():
        word = token.removeprefix("Ġ")
        if token_id < vocabulary_size and word.isascii() and word.isalpha():
            is_plain[token_id] = True
    return is_plain
