"""Tiny random network of a family, saved as a folder like one from a hub."""

import dataclasses
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import CONFIG_MAPPING, AutoConfig, PreTrainedConfig

from bench.families.family import Family
from bench.families.sizes import NUM_PROMPT_TOKENS, SIZES, VISION_SIZES

_AUTO_CLASSES = {
    "text": "AutoModelForCausalLM",
    "images": "AutoModelForImageTextToText",
    "encoder-decoder": "AutoModelForSeq2SeqLM",
    "embeddings": "AutoModel",
    "reranker": "AutoModelForSequenceClassification",
}
_NOISE = 0.05
"""Standard deviation of what is added to every weight, so that norms and biases count too."""


def config_of(family: Family) -> PreTrainedConfig:
    """Return the configuration of a family's network."""
    return _small_config(CONFIG_MAPPING[family.model_type], family.changes, SIZES)


def save_network(family: Family, seed: int, folder: Path) -> None:
    """Save a network with random weights, which follow from the seed and the family's name."""
    torch.manual_seed(random.Random(f"{seed} {family.name}").getrandbits(32))
    auto = getattr(transformers, _AUTO_CLASSES[family.kind])
    model: Any = auto.from_config(config_of(family), dtype=torch.float32).eval()
    _vary(model)
    model.save_pretrained(folder)


def load_reference(family: Family, folder: Path) -> Any:
    """Load the network as transformers does, with its plain attention, in float32."""
    auto = getattr(transformers, _AUTO_CLASSES[family.kind])
    model = auto.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    return model.eval()


def _small_config(
    cls: Any, changes: Mapping[str, Any], sizes: Mapping[str, Any]
) -> PreTrainedConfig:
    names = {field.name for field in dataclasses.fields(cls)}
    values = {name: value for name, value in sizes.items() if name in names} | dict(changes)
    for name, default in cls.sub_configs_defaults.items():
        part = changes.get(name, {})
        if part is not None:
            is_known = "model_type" in part or default.config_class is AutoConfig
            part_class = (
                CONFIG_MAPPING[part.get("model_type", default.model_type)]
                if is_known
                else default.config_class
            )
            part_sizes = SIZES if name == "text_config" else VISION_SIZES
            values[name] = _small_config(part_class, part, part_sizes)
    values.pop("model_type", None)
    made: PreTrainedConfig = cls(**values)
    return made


@torch.no_grad()
def _vary(model: Any) -> None:
    """Make all weights finite and random, and tokens of images and the like improbable."""
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.nan_to_num_(0.0, 0.0, 0.0)
            parameter.add_(torch.randn_like(parameter) * _NOISE)
    output = model.get_output_embeddings()
    if output is not None and output.weight is not model.get_input_embeddings().weight:
        output.weight[NUM_PROMPT_TOKENS:] = 0.0
