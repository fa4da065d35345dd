"""Copy of a model's folder without its weights: what can be known of it before it is downloaded."""

import json
import shutil
from pathlib import Path

_NUM_WEIGHTS = 1 << 38
"""Number of float32 weights that the hollow file seems to have: 1 TiB, which no memory holds."""


def hollow_copy(folder: Path, target: Path) -> None:
    """Copy the folder's configuration, beside a sparse file of weights that are not there.

    Whoever reads weights of it finds other tensors than those of the network, and far too many.
    """
    target.mkdir()
    for file in folder.iterdir():
        if not file.name.startswith("model"):
            shutil.copy(file, target)
    size = 4 * _NUM_WEIGHTS
    tensor = {"dtype": "F32", "shape": [_NUM_WEIGHTS], "data_offsets": [0, size]}
    header = json.dumps({"hollow": tensor}).encode()
    with (target / "model.safetensors").open("wb") as weights:
        weights.write(len(header).to_bytes(8, "little") + header)
        weights.truncate(8 + len(header) + size)
