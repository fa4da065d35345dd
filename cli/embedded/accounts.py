"""Running a server that refuses root: which user it gets, and what that user can reach."""

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
    """The user for a server when we are root: who owns its data, else a system user.

    None when we are not root: the server then runs as we do.
    """
    if os.geteuid() != 0:
        return None
    if data.exists() and data.stat().st_uid != 0:
        return Account(uid=data.stat().st_uid, gid=data.stat().st_gid)
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = next(known[name] for name in _USERS if name in known)
    return Account(uid=entry.pw_uid, gid=entry.pw_gid)


def is_open_to_all(folder: Path) -> bool:
    """Whether any user can enter the folder, which need not exist yet."""
    folder = folder.resolve()
    existing = (path for path in (folder, *folder.parents) if path.exists())
    return all(path.stat().st_mode & stat.S_IXOTH for path in existing)


def shared_folder() -> Path:
    """A folder of ours that every user can enter; refuses one that somebody else made there."""
    folder = _SHARED_ROOT / f"antiphon-{os.geteuid()}"
    folder.mkdir(mode=0o711, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise EmbeddedServerError(f"{folder} belongs to another user: remove it")
    folder.chmod(0o711)
    return folder


def shared_copy(root: Path, names: Iterable[str], version: str) -> Path:
    """Copy the named folders of `root` once to where every user can reach them."""
    copy = shared_folder() / version
    if copy.exists():
        return copy
    draft = copy.with_name(f"{version}.{os.getpid()}")
    for name in names:
        if (root / name).exists():
            shutil.copytree(root / name, draft / name, symlinks=True)
    for folder in (draft, *(path for path in draft.rglob("*") if path.is_dir())):
        folder.chmod(0o755)
    try:
        draft.rename(copy)
    except OSError:  # somebody else was first
        shutil.rmtree(draft)
    return copy
