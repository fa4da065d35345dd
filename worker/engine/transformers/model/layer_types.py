"""Types of a network's layers, read from its configuration."""

from typing import Any


def two_way_layers(model: Any) -> frozenset[int]:
    """Return the layers in which a token of an image attends to all tokens of the image (Gemma)."""
    text = model.config.get_text_config()
    layers = range(text.num_hidden_layers)
    match model.config.model_type:
        case "gemma3":
            return frozenset(layers)
        case "gemma4" if text.use_bidirectional_attention == "vision":
            return frozenset(n for n in layers if text.layer_types[n] == "sliding_attention")
        case _:
            return frozenset()
