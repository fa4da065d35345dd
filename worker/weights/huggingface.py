"""Download of models from the Hugging Face Hub: safetensors, configuration and tokenizer only."""

import io
from collections.abc import Callable, Collection
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import HfApi, snapshot_download
from tqdm.std import tqdm

from worker.engine.checkpoint.files import Checkpoint
from worker.weights.errors import HubError

Advance = Callable[[int, int], None]
"""Progress callback: bytes on disk and total number of bytes, 0 if unknown."""

_WEIGHTS = "*.safetensors"
# Neither pickled weights nor Python files: both could run code, and neither is ever loaded.
_SMALL_FILES = ("*.json", "*.jinja", "*.txt", "*.model", "tokenizer*")
_IGNORED = ("*.bin", "*.py", "*/*")
_ERRORS = (OSError, ValueError, httpx2.HTTPError)


@dataclass(frozen=True, slots=True)
class HubModel:
    """A model on the hub, at the commit that it was looked up at."""

    name: str
    """`owner/name` or `owner/name@revision`, as it was asked for."""
    repository: str
    commit: str
    sizes: dict[str, int]
    """Bytes of each file by its path."""
    task: str


def look_up(model: str) -> HubModel:
    """Return what the hub says of `owner/name` or `owner/name@revision`; raise `HubError`."""
    repository, _, revision = model.partition("@")
    if repository.startswith(("/", ".", "~")) or repository.count("/") > 1:
        raise HubError(f"there is no folder {model}, and it is no name of the hub (owner/name)")
    try:
        found = HfApi().model_info(repository, revision=revision or None, files_metadata=True)
    except _ERRORS as error:
        raise HubError(f"{model} cannot be fetched: {_one_line(error)}") from error
    sizes = {file.rfilename: file.size or 0 for file in found.siblings or ()}
    return HubModel(model, repository, str(found.sha), sizes, found.pipeline_tag or "")


def fetch_small_files(model: HubModel, folder: Path) -> Checkpoint:
    """Download configuration and tokenizer, and return the checkpoint that they are a part of."""
    _fetch(model, folder, [name for name in model.sizes if _is_small(name)])
    return Checkpoint(
        folder=folder,
        sizes={name: size for name, size in model.sizes.items() if "/" not in name},
        name=model.repository,
        is_fetched=False,
        task=model.task,
    )


def fetch_weights(model: HubModel, folder: Path, names: Collection[str], advance: Advance) -> None:
    """Download files of weights, keeping those that are there already; raise `HubError`."""
    _fetch(model, folder, names, advance)


def _fetch(
    model: HubModel, folder: Path, names: Collection[str], advance: Advance | None = None
) -> None:
    try:
        snapshot_download(
            model.repository,
            revision=model.commit,
            local_dir=folder,
            allow_patterns=list(names),
            tqdm_class=_progress_bar_class(advance or _ignore),
        )
    except _ERRORS as error:
        raise HubError(f"{model.name} cannot be fetched: {_one_line(error)}") from error


def _is_small(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in _SMALL_FILES) and not any(
        fnmatch(name, pattern) for pattern in (*_IGNORED, _WEIGHTS)
    )


def _ignore(num_done: int, num_total: int) -> None:
    """Report no progress."""


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


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
