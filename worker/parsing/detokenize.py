"""Text from tokens as they come, never half a character.

Pure: knows a tokenizer's `decode`, nothing of engines or events.
"""

from worker.engine.interface import Tokenizer

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

# Bytes of an unfinished character, each of which a tokenizer may show as one replacement.
_MAX_UNFINISHED = 3

# By then the bytes are simply not UTF-8; holding on would decode ever longer windows.
_MAX_PENDING = 64


class Detokenizer:
    """Decodes a window of recent tokens: those before are context, for spaces that depend on it."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._window: list[int] = []
        self._num_context = 0
        self._num_emitted = 0
        """Characters of the window's text that have been returned, its context included."""

    def add(self, token_id: int) -> str:
        """Return the text that the token makes certain; it may be empty."""
        self._window.append(token_id)
        text = self._tokenizer.decode(self._window)
        tail = text[-_MAX_UNFINISHED:]
        num_unfinished = len(tail) - len(tail.rstrip(_REPLACEMENT))
        new = text[self._num_emitted : len(text) - num_unfinished]
        is_overdue = len(self._window) - self._num_context >= _MAX_PENDING
        if is_overdue:
            new = text[self._num_emitted :]
        self._num_emitted += len(new)
        if is_overdue or (new and not num_unfinished):
            self._slide()
        return new

    def flush(self) -> str:
        """Return what was held back; for the end of the sequence."""
        new = self._tokenizer.decode(self._window)[self._num_emitted :]
        self._num_emitted += len(new)
        return new

    def _slide(self) -> None:
        del self._window[: self._num_context]
        self._num_context = len(self._window)
        self._num_emitted = len(self._tokenizer.decode(self._window))
