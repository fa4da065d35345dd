"""Checkpoints of running responses: enough to rebuild the events without the log in Redis."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from models.responses.tokens import GeneratedToken, complement, group_by_choice

_TOKEN_BITS = 27
"""Bits of a token id. It shares 31 bits with its choice, 0 to 15; no vocabulary nears 2**27."""
_GIVEN = 1 << 31
"""Bit that marks a token the model was given and did not generate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Tokens of a response so far, and the sequence number of its next event."""

    next_sequence_number: int
    tokens: tuple[GeneratedToken, ...]
    """Tokens of all choices, in the order of generation."""

    def to_bytes(self) -> bytes:
        """Encode as little-endian uint32 values: the sequence number, then the tokens."""
        packed = (
            choice << _TOKEN_BITS | (_GIVEN | complement(token_id) if token_id < 0 else token_id)
            for choice, token_id in self.tokens
        )
        numbers = (self.next_sequence_number, *packed)
        return struct.pack(f"<{len(numbers)}I", *numbers)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Checkpoint":
        """Decode the bytes that `to_bytes` returned."""
        number, *packed = struct.unpack(f"<{len(data) // 4}I", data)
        return cls(next_sequence_number=number, tokens=tuple(map(_unpack, packed)))

    def beyond(self, logged: Sequence[GeneratedToken]) -> tuple[GeneratedToken, ...]:
        """Return the tokens that follow those of the log; none if the log has more, or others.

        The log has the tokens of different choices in another order, that of the events.
        """
        own_ids, logged_ids = group_by_choice(self.tokens), group_by_choice(logged)
        for choice, token_ids in logged_ids.items():
            if own_ids.get(choice, [])[: len(token_ids)] != token_ids:
                return ()
        num_left = {choice: len(token_ids) for choice, token_ids in logged_ids.items()}
        unlogged = []
        for token in self.tokens:
            if num_left.get(token.choice, 0):
                num_left[token.choice] -= 1
            else:
                unlogged.append(token)
        return tuple(unlogged)


def _unpack(number: int) -> GeneratedToken:
    token_id = number & (1 << _TOKEN_BITS) - 1
    choice = (number & ~_GIVEN) >> _TOKEN_BITS
    return GeneratedToken(choice, complement(token_id) if number & _GIVEN else token_id)
