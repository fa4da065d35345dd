"""Names of what vLLM's processes share, and removal of what dead ones left behind.

Shared memory, semaphores and sockets are files, which stay when their processes are killed. Those
of one worker are named after its folder in /dev/shm, on which all of its processes hold a lock. The
kernel releases it with the last of them: what belongs to a folder that can be locked belongs to the
dead, whichever users, containers and installations share /dev/shm.
"""

import atexit
import fcntl
import logging
import multiprocessing
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import shared_memory
from pathlib import Path
from secrets import token_hex
from typing import Any

logger = logging.getLogger(__name__)

_SHM = Path("/dev/shm")
_PREFIX = "antiphon-vllm-"
_FOLDER_VARIABLE = "VLLM_RPC_BASE_PATH"
"""vLLM's name of the folder of its sockets, by which its processes find that of their worker."""

_locks: dict[Path, int] = {}
"""Folder of this process, if it has one, and the descriptor that holds its lock."""


def claim_names(shm: Path = _SHM) -> Path | None:
    """Remove what dead workers left; return the folder that this worker's names begin with.

    None, and vLLM's own names, if there is no shared memory or it cannot be written.
    """
    if not _locks:
        try:
            remove_left(shm)
            _use(*_make_folder(shm))
        except OSError as error:
            logger.warning("vLLM names shared memory itself", extra={"error": str(error)})
            return None
        atexit.register(_release)
    return next(iter(_locks))


def join_names() -> None:
    """Use the names of the worker that has started this process.

    On another host than the worker's, where its folder is not, the process gets one of its own.
    """
    if _locks:
        return
    folder = Path(os.environ.get(_FOLDER_VARIABLE, ""))
    if folder.name.startswith(_PREFIX):
        with suppress(OSError):
            _use(folder, _hold(folder))
            return
    claim_names()


def new_name() -> str:
    """Return a new name for something that the processes of this worker share."""
    [folder] = _locks
    return f"{folder.name}-{token_hex(8)}"


def remove_left(shm: Path = _SHM) -> None:
    """Remove the folders of this user that no process holds, and all that is named after them."""
    for folder in _folders(shm):
        with suppress(OSError):  # it is held, or another process removes it
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(folder)
            finally:
                os.close(descriptor)


class _NamedSharedMemory(shared_memory.SharedMemory):
    """Shared memory that is named after the folder, unless its creator names it."""

    def __init__(
        self, name: str | None = None, create: bool = False, size: int = 0, **options: Any
    ) -> None:
        super().__init__(new_name() if create and name is None else name, create, size, **options)


def _use(folder: Path, descriptor: int) -> None:
    """Name all that this process and its children make from now on after the folder."""
    _locks[folder] = descriptor
    os.environ[_FOLDER_VARIABLE] = str(folder)
    memory: Any = shared_memory
    memory.SharedMemory = _NamedSharedMemory
    process: Any = multiprocessing.current_process()
    process._config["semprefix"] = f"/{folder.name}"


def _make_folder(shm: Path) -> tuple[Path, int]:
    while True:
        folder = shm / f"{_PREFIX}{token_hex(8)}"
        folder.mkdir(mode=0o700)
        with suppress(FileNotFoundError):  # removed before it was locked
            return folder, _hold(folder)


def _hold(folder: Path) -> int:
    """Return a descriptor that holds the folder; raise `FileNotFoundError` if it is removed."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    if os.fstat(descriptor).st_nlink == 0:
        os.close(descriptor)
        raise FileNotFoundError(folder)
    return descriptor


def _folders(shm: Path) -> Iterator[Path]:
    for path in shm.iterdir():
        if path.name.startswith(_PREFIX):
            with suppress(FileNotFoundError):
                if path.lstat().st_uid == os.geteuid():
                    yield path


def _remove(folder: Path) -> None:
    """Remove the folder last, so that what an interrupted removal leaves is found again."""
    prefixes = (f"{folder.name}-", f"sem.{folder.name}-")
    left = [path for path in folder.parent.iterdir() if path.name.startswith(prefixes)]
    num_bytes = 0
    for path in left:
        with suppress(OSError):  # another user may have made a file of such a name
            num_bytes += path.lstat().st_blocks * 512
            path.unlink()
    shutil.rmtree(folder)
    if left:
        extra = {"count": len(left), "bytes": num_bytes}
        logger.info("shared memory of a dead worker removed", extra=extra)


def _release() -> None:
    """Remove what this process has left, unless others of its worker still live."""
    [(folder, descriptor)] = _locks.items()
    os.close(descriptor)
    remove_left(folder.parent)
