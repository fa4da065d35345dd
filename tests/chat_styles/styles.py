"""Styles of chat templates: each has a template, a tokenizer, and the control tokens of both."""

# Full-width characters are meant.
# ruff: noqa: RUF001

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, normalizers
from transformers import PreTrainedTokenizerFast

from models.chat.template_encoder import TemplateEncoder
from models.profile.weights import Weights
from tests.chat_styles.tokenizers_of_styles import (
    added,
    byte_level,
    sentencepiece,
    special,
    unigram,
)

_TEMPLATES = Path(__file__).with_name("templates")
_CHATML = special("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_QWEN = [
    *_CHATML,
    *added("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"),
    *added("<think>", "</think>", "<|fim_prefix|>"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """A family's template and tokenizer."""

    template: str
    """Name of the file with the template."""
    control: list[AddedToken]
    make: Callable[[list[AddedToken]], Tokenizer] = byte_level
    ordinary: tuple[str, ...] = ()
    """Added tokens that are ordinary text, such as white space."""
    bos: str | None = None
    eos: str | None = None
    shows_tools: bool = False
    """True if the template is to write tools, though the server does not read such calls."""

    def write(self, folder: Path) -> TemplateEncoder:
        """Write the tokenizer into a folder and return the encoder that reads it."""
        tokenizer = self.make([*self.control, *added(*self.ordinary)])
        wrap: Any = PreTrainedTokenizerFast
        wrapped = wrap(tokenizer_object=tokenizer, bos_token=self.bos, eos_token=self.eos)
        wrapped.chat_template = (_TEMPLATES / f"{self.template}.jinja").read_text()
        wrapped.save_pretrained(folder)
        (folder / "config.json").write_text(json.dumps({"max_position_embeddings": 1 << 20}))
        if self.shows_tools:
            (folder / "profile.json").write_text(json.dumps({"takes_tools": True}))
        return TemplateEncoder(Weights(model_id="styled", source="folder", folder=folder))


def _llama3(control: list[AddedToken]) -> Tokenizer:
    return byte_level(control, ignores_merges=True)


def _nfc(control: list[AddedToken]) -> Tokenizer:
    return byte_level(control, normalizer=normalizers.NFC())


def _mistral(control: list[AddedToken]) -> Tokenizer:
    return sentencepiece(control, prefix=normalizers.Prepend("▁"))


STYLES: dict[str, Style] = {
    "default": Style(template="default", control=_CHATML),
    "llama 2": Style(
        template="llama2",
        control=[*special("<s>"), *special("</s>", normalized=True)],
        make=_mistral,
        bos="<s>",
        eos="</s>",
    ),
    "llama 3": Style(
        template="llama3",
        control=special(
            *("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>"),
            *("<|eot_id|>", "<|eom_id|>", "<|python_tag|>", "<|reserved_special_token_0|>"),
        ),
        make=_llama3,
        bos="<|begin_of_text|>",
    ),
    "qwen 3": Style(template="qwen3", control=_QWEN, make=_nfc, eos="<|im_end|>"),
    "qwen 3 coder": Style(template="qwen3_coder", control=_QWEN, make=_nfc, shows_tools=True),
    "mistral": Style(
        template="mistral",
        control=special(
            *("<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]"),
            *("[TOOL_CALLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]"),
        ),
        make=_mistral,
        bos="<s>",
        eos="</s>",
    ),
    "gemma": Style(
        template="gemma",
        control=special("<pad>", "<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"),
        make=sentencepiece,
        ordinary=("\n\n", "\n\n\n", "▁▁", "<h1>", "</h1>", "<table>"),
        bos="<bos>",
        eos="<eos>",
    ),
    "gpt-oss": Style(
        template="gpt_oss",
        control=special(
            *("<|startoftext|>", "<|return|>", "<|constrain|>", "<|channel|>", "<|start|>"),
            *("<|end|>", "<|message|>", "<|call|>"),
        ),
        shows_tools=True,
    ),
    "phi": Style(
        template="phi",
        control=[
            *special("<|endoftext|>", "<|tool|>", "<|/tool|>"),
            *special("<|system|>", "<|user|>", "<|assistant|>", "<|end|>", rstrip=True),
        ],
        eos="<|endoftext|>",
    ),
    "glm": Style(
        template="glm",
        control=special("[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>"),
    ),
    "deepseek": Style(
        template="deepseek",
        control=[
            *special("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
            *added("<｜User｜>", "<｜Assistant｜>", "<think>", "</think>"),
        ],
        bos="<｜begin▁of▁sentence｜>",
    ),
    "unigram": Style(
        template="default",
        control=special("<|endoftext|>", "<|im_start|>", "<|im_end|>", normalized=True),
        make=unigram,
    ),
}
