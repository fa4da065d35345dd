"""Fetches a model from the hub: safetensors, configuration and tokenizer; nothing that can run."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from tqdm.std import tqdm

Advance = Callable[[int, int], None]
"""Shows how many bytes are there, of how many."""

# No pickled weights and no Python files: neither is ever loaded.
_FILES = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model", "tokenizer*"]
_IGNORED = ["*.bin", "*.py", "*/*"]


class HubError(Exception):
    """The model could not be fetched; the message says why."""


def fetch_from_hub(model: str, folder: Path, advance: Advance) -> None:
    """Fetch `owner/name` or `owner/name@revision`; what is in the folder already is kept.

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
            tqdm_class=_bar_class(advance),
        )
    except (OSError, ValueError) as error:
        raise HubError(f"{model} cannot be fetched: {error}") from error
    if not list(folder.glob("*.safetensors")):
        raise HubError(f"{model} has no safetensors files")


def _bar_class(advance: Advance) -> type[Any]:
    """A bar of the kind that the hub's library fills, which shows nothing itself."""

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options | {"file": io.StringIO(), "disable": False})

        def display(self, *_args: Any, **_options: Any) -> None:
            # Of its bars one counts files, one what the network sent; this one what is on disk.
            if self.unit == "B" and not str(self.desc).startswith("Downloading"):
                advance(int(self.n), int(self.total or 0))

    return Bar
