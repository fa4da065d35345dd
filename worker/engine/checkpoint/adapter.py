"""Check that a folder holds a whole model, not an adapter (LoRA) of one."""

from collections.abc import Iterator, Mapping
from typing import Any

from worker.engine.checkpoint.files import Checkpoint

ADAPTER = "adapter_config.json"


def find_adapter(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Iterator[str]:
    """Yield a problem if the files are an adapter."""
    del config
    if ADAPTER in checkpoint.sizes:
        yield f"it is a LoRA adapter, not a whole model: merge it into its base first ({ADAPTER})"
