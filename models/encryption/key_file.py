"""Files of keys, one a line, which operators edit while the processes run."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

logger = logging.getLogger(__name__)

RECHECK_S = 1.0
"""Seconds for which a file is not looked at again."""

Keys = tuple[bytes, ...]


class KeyFileError(Exception):
    """Raised for a file of keys that cannot be used; the message names the file."""


class KeyFile:
    """Keys of a file, the first of which encrypts; read again whenever the file changes.

    A change that cannot be used, such as a file that is gone, leaves the keys as they were.
    """

    def __init__(
        self, path: Path, parse: Callable[[list[str]], Keys], *, recheck_s: float = RECHECK_S
    ) -> None:
        """Read the file; `parse` gets its lines that are not empty.

        Raises `KeyFileError` if it cannot be read, or with the message of a `ValueError` of
        `parse`.
        """
        self._path = path
        self._parse = parse
        self._recheck_s = recheck_s
        self._lock = threading.Lock()
        self._signature = self._sign()
        self._keys = self._read()
        self._looked_at = time.monotonic()

    @property
    def keys(self) -> Keys:
        """The keys as they were in the file at most `recheck_s` seconds ago."""
        if time.monotonic() - self._looked_at < self._recheck_s:
            return self._keys
        return self.reread()

    def reread(self) -> Keys:
        """Return the keys that are in the file at this moment."""
        with self._lock:
            self._looked_at = time.monotonic()
            try:
                signature = self._sign()
                if signature != self._signature:
                    self._signature = signature
                    self._keys = self._read()
                    logger.info("keys read again", extra={"num_keys": len(self._keys)})
            except KeyFileError as error:
                logger.warning("keys not read again", extra={"error": str(error)})
            return self._keys

    def _sign(self) -> tuple[int, int, int]:
        try:
            status = self._path.stat()
        except OSError as error:
            raise KeyFileError(f"{str(self._path)!r}: {error}") from None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _read(self) -> Keys:
        try:
            lines = [line.strip() for line in self._path.read_text().splitlines()]
            return self._parse([line for line in lines if line])
        except (OSError, ValueError) as error:
            raise KeyFileError(f"{str(self._path)!r}: {error}") from None
