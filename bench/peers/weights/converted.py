"""Cache of converted weights, kept from run to run beside the folder of weights."""

import shutil
from collections.abc import Callable
from pathlib import Path


def convert_once(weights: Path, name: str, convert: Callable[[Path], None]) -> Path:
    """Return the file or folder `name` converted from `weights`; convert it if it is missing.

    `convert` is called with the path to write to.
    """
    cache = weights.parent.parent / "peers" / weights.name
    path = cache / name
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        partial = cache / f".{name}"
        _remove(partial)
        convert(partial)
        partial.rename(path)
    return path


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
