"""Folders of clusters outside their data folders, for a server that root starts."""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from cli.embedded.accounts import is_open_to_all, shared_folder

_ORIGIN = "data_folder"
"""File beside a cluster with the path of the data folder that it belongs to."""


def cluster_parent(folder: Path) -> Path:
    """Return the folder in which the cluster of a data folder is, which is created.

    It is the data folder itself, or one in /var/tmp if we are root and the user that runs Postgres
    cannot enter the data folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0 or is_open_to_all(folder):
        return folder
    origin = folder.resolve()
    parent = shared_folder() / hashlib.sha256(str(origin).encode()).hexdigest()[:16]
    parent.mkdir(exist_ok=True)
    (parent / _ORIGIN).write_text(str(origin))
    return parent


def remove_parent(parent: Path) -> None:
    """Remove an empty folder of `cluster_parent` unless it is the data folder."""
    if parent.parent == shared_folder():
        (parent / _ORIGIN).unlink(missing_ok=True)
        parent.rmdir()


def remove_clusters(is_unwanted: Callable[[Path], bool]) -> None:
    """Delete the clusters outside of data folders whose data folder `is_unwanted`.

    Their servers must be stopped. A cluster of a release that did not note its data folder stays.
    """
    for origin in shared_folder().glob(f"*/{_ORIGIN}"):
        if is_unwanted(Path(origin.read_text())):
            shutil.rmtree(origin.parent, ignore_errors=True)  # others may do the same
