"""The same weights in the formats of peers, kept from run to run beside the folder of weights."""

import shutil
from collections.abc import Callable
from pathlib import Path


def converted(weights: Path, name: str, convert: Callable[[Path], None]) -> Path:
    """The file or folder `name` made of a folder of weights; `convert` is told where to make it."""
    kept = weights.parent.parent / "peers" / weights.name
    path = kept / name
    if not path.exists():
        kept.mkdir(parents=True, exist_ok=True)
        draft = kept / f".{name}"
        _remove(draft)
        convert(draft)
        draft.rename(path)
    return path


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
