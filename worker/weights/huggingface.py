"""Download of models from the Hugging Face Hub: safetensors, configuration and tokenizer only."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from tqdm.std import tqdm

Advance = Callable[[int, int], None]
"""Progress callback: bytes on disk and total number of bytes, 0 if unknown."""

# Neither pickled weights nor Python files: both could run code, and neither is ever loaded.
_FILES = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model", "tokenizer*"]
_IGNORED = ["*.bin", "*.py", "*/*"]


class HubError(Exception):
    """The model could not be fetched; the message says why."""


def fetch_from_hub(model: str, folder: Path, advance: Advance) -> None:
    """Download `owner/name` or `owner/name@revision`, keeping the files that are there already.

    Raises `HubError`, also for a model that has no safetensors.
    """
    repository, _, revision = model.partition("@")
    try:
        snapshot_download(
            repository,
            revision=revision or None,
            local_dir=folder,
            allow_patterns=_FILES,
            ignore_patterns=_IGNORED,
            tqdm_class=_progress_bar_class(advance),
        )
    except (OSError, ValueError) as error:
        raise HubError(f"{model} cannot be fetched: {error}") from error
    if not list(folder.glob("*.safetensors")):
        raise HubError(f"{model} has no safetensors files")


def _progress_bar_class(advance: Advance) -> type[Any]:
    """Return a tqdm class for huggingface_hub that prints nothing and calls `advance`."""

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options | {"file": io.StringIO(), "disable": False})

        def display(self, *_args: Any, **_options: Any) -> None:
            # huggingface_hub has three bars: files, bytes received ("Downloading …") and bytes on
            # disk. Only the last is reported.
            if self.unit == "B" and not str(self.desc).startswith("Downloading"):
                advance(int(self.n), int(self.total or 0))

    return Bar
