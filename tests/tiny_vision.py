"""Tiny vision models with random weights, saved with processor and chat template."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText, PreTrainedTokenizerFast

from tests.vision_families.table import FAMILIES

_CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}IMAGE{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{{ eos_token }}{% endfor %}assistant: "
)
_TEXT_SIZE: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    # Large random weights make the choices of the network robust to rounding.
    "initializer_range": 0.2,
    "bos_token_id": None,
}


def write_vision_model(
    folder: Path,
    tokenizer: PreTrainedTokenizerFast,
    kind: str,
    *,
    eos_scale: float = 1.0,
    **text: Any,
) -> Path:
    """Save a random network of a family in `vision_families`.

    `eos_scale` above 1 makes the model end its answers sooner; `text` overrides fields of the
    language model's config.
    """
    torch.manual_seed(0)
    family = FAMILIES[kind]
    tokenizer.add_special_tokens({"additional_special_tokens": list(family.tokens)})
    tokenizer.chat_template = _CHAT_TEMPLATE.replace("IMAGE", family.image)
    tokenizer.pad_token = tokenizer.eos_token
    end = tokenizer.eos_token_id
    ending = {"eos_token_id": end, "pad_token_id": end, "vocab_size": len(tokenizer)}
    ids: Any = tokenizer.convert_tokens_to_ids
    auto: Any = AutoConfig
    config = auto.for_model(**family.config(_TEXT_SIZE | ending | text, ids))
    network: Any = AutoModelForImageTextToText
    model = network.from_config(config)
    with torch.no_grad():
        model.lm_head.weight[end] *= eos_scale
    model.generation_config.eos_token_id = end
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _write_json(folder / "preprocessor_config.json", family.image_processor)
    _write_json(folder / "processor_config.json", family.processor)
    named = dict(family.named_tokens)
    _write_json(folder / "tokenizer_config.json", {"extra_special_tokens": named} if named else {})
    return folder


def _write_json(file: Path, added: dict[str, Any]) -> None:
    content = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(content | added))
