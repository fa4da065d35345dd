"""Types of a network's layers, read from its configuration before any weights are."""

from pathlib import Path

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
