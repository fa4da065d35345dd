"""Files from which the fork server loads the tokenizers that grammars are compiled for."""

import tempfile
import weakref
from collections.abc import Sequence
from hashlib import blake2b

import orjson

KEY_BYTES = 16
NO_TOKENIZER = bytes(KEY_BYTES)
"""Key of no file, for tasks that need no tokenizer."""


class TokenizerFile:
    """Unlinked temporary file with a tokenizer, which survives the processes that read it."""

    def __init__(self, text: str, eos_token: int | None, slices: Sequence[str]) -> None:
        """Write a tokenizer as JSON, with the arguments that llguidance takes beside it."""
        content = orjson.dumps({"tokenizer": text, "eos_token": eos_token, "slices": slices})
        self.key = blake2b(content, digest_size=KEY_BYTES).digest()
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as this object
        weakref.finalize(self, self._file.close)
        self._file.write(content)
        self._file.flush()

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self._file.fileno()
