"""Types of a network's layers, read from its configuration before any weights are."""

from pathlib import Path
from typing import Any

_TYPES_WITH_STATE = frozenset({"linear_attention", "conv", "hybrid", "mamba"})
"""Types of layers with a mixer that keeps a state per sequence."""


def keeps_states(folder: Path) -> bool:
    """Return True if the network in a folder has layers that keep a state per sequence.

    Returns False for a configuration that cannot be read, which loading reports.
    """
    # Imported here, because the import takes seconds.
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True).get_text_config()
    except (OSError, ValueError, KeyError):
        return False
    return not _TYPES_WITH_STATE.isdisjoint(getattr(config, "layer_types", None) or ())


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
