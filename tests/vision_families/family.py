"""Family of vision models: what its configuration, processor and chat template look like."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Ids = Callable[[str], int]
"""Function that returns the id of a special token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VisionFamily:
    """Family of vision models that share an architecture."""

    name: str
    image: str
    """Text of an image in the chat template."""
    tokens: tuple[str, ...]
    """Special tokens of the tokenizer."""
    named_tokens: Mapping[str, str] = field(default_factory=dict)
    """Special tokens that the tokenizer has as attributes, by their names."""
    config: Callable[[dict[str, Any], Ids], dict[str, Any]]
    """Function from the size of the language model, and ids, to the network's config."""
    image_processor: dict[str, Any]
    """Content of preprocessor_config.json."""
    processor: dict[str, Any]
    """Content of processor_config.json."""
    in_openvino: bool = True
    """False if torch computes it on CPUs, too."""


VISION_SIZE: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "initializer_range": 0.2,
}
