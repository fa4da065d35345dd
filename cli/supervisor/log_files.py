"""Rotation of the log files that child processes append to."""

import logging
import os
import shutil
from pathlib import Path

logger = logging.getLogger(__name__)

MAX_BYTES = 32 * 1024 * 1024
"""Size at which a log file is rotated."""
NUM_OLD = 3
"""Number of older files kept of each log: `<name>.log.1` is the newest."""


def rotate(folder: Path, max_bytes: int = MAX_BYTES) -> None:
    """Rotate the log files of a folder that are larger than `max_bytes`.

    A file is copied and truncated, not renamed: the processes keep it open, for appending. Lines
    that are written between the copy and the truncation are lost.
    """
    for log in folder.glob("*.log"):
        try:
            if log.stat().st_size > max_bytes:
                _rotate(log)
        except OSError as error:
            logger.warning("log not rotated", extra={"path": str(log), "error": str(error)})


def _rotate(log: Path) -> None:
    old = [log.with_name(f"{log.name}.{number}") for number in range(1, NUM_OLD + 1)]
    for newer, older in zip(reversed(old[:-1]), reversed(old[1:]), strict=True):
        if newer.exists():
            newer.replace(older)
    try:
        shutil.copy(log, old[0])
    finally:
        # Also if there is no room for the copy: a full disk stops the database.
        os.truncate(log, 0)
