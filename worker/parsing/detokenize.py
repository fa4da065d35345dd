"""Incremental detokenization that never emits part of a character.

Depends on a tokenizer's `decode` alone and does no I/O.
"""

from worker.engine.interface import Tokenizer

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

# Most bytes of an incomplete UTF-8 character, each of which a tokenizer may decode to one
# replacement character.
_MAX_UNFINISHED = 3

# After so many tokens the bytes are simply not UTF-8; waiting on would decode ever longer windows.
_MAX_PENDING = 64


class Detokenizer:
    """Incremental decoder over a window of recent tokens.

    The window starts with tokens whose text was already returned, because the spaces that a
    tokenizer writes depend on the tokens before.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._window: list[int] = []
        self._num_context = 0
        self._num_emitted = 0
        """Characters of the window's text that have been returned, its context included."""

    def add(self, token_id: int) -> str:
        """Return the text that the token completes; it may be empty."""
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
        """Return the buffered text; call at the end of the sequence."""
        new = self._tokenizer.decode(self._window)[self._num_emitted :]
        self._num_emitted += len(new)
        return new

    def _slide(self) -> None:
        del self._window[: self._num_context]
        self._num_context = len(self._window)
        self._num_emitted = len(self._tokenizer.decode(self._window))
