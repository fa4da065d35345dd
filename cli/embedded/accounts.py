"""Unprivileged user for a server that refuses to run as root, and folders that it can enter."""

import os
import pwd
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path

from cli.embedded.server import EmbeddedServerError
from cli.supervisor.processes import Account

_SHARED_ROOT = Path("/var/tmp")
_USERS = ("postgres", "nobody")


def unprivileged_account(data: Path) -> Account | None:
    """Return the user to run a server as if we are root: the owner of its data or a system user.

    Returns None if we are not root: the server then runs as the current user.
    """
    if os.geteuid() != 0:
        return None
    if data.exists() and data.stat().st_uid != 0:
        return Account(uid=data.stat().st_uid, gid=data.stat().st_gid)
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = next(known[name] for name in _USERS if name in known)
    return Account(uid=entry.pw_uid, gid=entry.pw_gid)


def is_open_to_all(folder: Path) -> bool:
    """Return True if any user can enter the folder, which need not exist yet."""
    folder = folder.resolve()
    existing = (path for path in (folder, *folder.parents) if path.exists())
    return all(path.stat().st_mode & stat.S_IXOTH for path in existing)


def shared_folder(root: Path = _SHARED_ROOT) -> Path:
    """Create a folder of ours in `root` that every user can enter, and return it.

    Raises `EmbeddedServerError` if another user has created it.
    """
    folder = root / f"antiphon-{os.geteuid()}"
    folder.mkdir(mode=0o711, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise EmbeddedServerError(f"{folder} belongs to another user: remove it")
    folder.chmod(0o711)
    return folder


def shared_copy(
    source: Path, names: Iterable[str], version: str, *, root: Path = _SHARED_ROOT
) -> Path:
    """Copy the named folders of `source` to a shared one unless they are there; return the copy.

    `version` names the copy, which is in our folder in `root`.
    """
    copy = shared_folder(root) / version
    if copy.exists():
        return copy
    partial = copy.with_name(f"{version}.{os.getpid()}")
    for name in names:
        if (source / name).exists():
            shutil.copytree(source / name, partial / name, symlinks=True)
    for folder in (partial, *(path for path in partial.rglob("*") if path.is_dir())):
        folder.chmod(0o755)
    try:
        partial.rename(copy)
    except OSError:  # another process was first
        shutil.rmtree(partial)
    return copy
