"""Tells calls of the server's tools from the answer around them; pure."""

from models.web_search import CALL_CLOSER, CALL_OPENER
from worker.formats.pieces import Kind, Piece, begun

MAX_CALL = 8192
"""Characters; what is longer is no call."""


class CallSplitter:
    """The pieces add up to the text that was given, less what is held back."""

    def __init__(self) -> None:
        self._held = ""

    def add(self, text: str) -> list[Piece]:
        """The pieces that have become sure; a call is one, with its tags."""
        self._held += text
        pieces: list[Piece] = []
        while (start := self._held.find(CALL_OPENER)) >= 0:
            end = self._held.find(CALL_CLOSER, start)
            if end < 0 and len(self._held) - start <= MAX_CALL:
                break
            self._put(pieces, Kind.ANSWER, start)
            is_call = end >= 0 and end - start <= MAX_CALL
            length = end - start + len(CALL_CLOSER) if is_call else len(CALL_OPENER)
            self._put(pieces, Kind.CALL if is_call else Kind.ANSWER, length)
        sure = start if start >= 0 else len(self._held) - begun(self._held, CALL_OPENER)
        self._put(pieces, Kind.ANSWER, sure)
        return pieces

    def flush(self) -> list[Piece]:
        """What was held back, for the end of the text."""
        pieces: list[Piece] = []
        self._put(pieces, Kind.ANSWER, len(self._held))
        return pieces

    def _put(self, pieces: list[Piece], kind: Kind, length: int) -> None:
        if length:
            pieces.append(Piece(kind, self._held[:length]))
            self._held = self._held[length:]
