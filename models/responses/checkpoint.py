"""How far a running response has come: enough to make its events again without their log."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from models.responses.tokens import GeneratedToken, by_choice, complement

_TOKEN_BITS = 27
"""A token and its choice, 0 to 15, share 31 bits; no vocabulary is near 2**27."""
_GIVEN = 1 << 31
"""The last bit says that it was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The tokens of a response so far, and the number that its next event will have."""

    next_sequence_number: int
    tokens: tuple[GeneratedToken, ...]
    """Of all choices, as they came."""

    def to_bytes(self) -> bytes:
        """Both as 32-bit integers, the least byte first: the number, then the tokens."""
        packed = (
            choice << _TOKEN_BITS | (_GIVEN | complement(token_id) if token_id < 0 else token_id)
            for choice, token_id in self.tokens
        )
        numbers = (self.next_sequence_number, *packed)
        return struct.pack(f"<{len(numbers)}I", *numbers)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Checkpoint":
        """What `to_bytes` has written."""
        number, *packed = struct.unpack(f"<{len(data) // 4}I", data)
        return cls(next_sequence_number=number, tokens=tuple(map(_unpacked, packed)))

    def beyond(self, logged: Sequence[GeneratedToken]) -> tuple[GeneratedToken, ...]:
        """The tokens that follow those of the log; none if the log has more, or others.

        The log has those of different choices in another order: in that of the events.
        """
        mine, theirs = by_choice(self.tokens), by_choice(logged)
        for choice, token_ids in theirs.items():
            if mine.get(choice, [])[: len(token_ids)] != token_ids:
                return ()
        left = {choice: len(token_ids) for choice, token_ids in theirs.items()}
        found = []
        for token in self.tokens:
            if left.get(token.choice, 0):
                left[token.choice] -= 1
            else:
                found.append(token)
        return tuple(found)


def _unpacked(number: int) -> GeneratedToken:
    token_id = number & (1 << _TOKEN_BITS) - 1
    choice = (number & ~_GIVEN) >> _TOKEN_BITS
    return GeneratedToken(choice, complement(token_id) if number & _GIVEN else token_id)
