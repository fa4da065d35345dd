"""Form of API keys as clients send them: `sk-antiphon-<id>-<secret>-<checksum>`.

Prefix and checksum let scanners recognise a leaked key, as in GitHub's tokens. The id (10
characters) finds the row, the secret (43 characters, 256 bits) proves the right to it, and the
checksum (6 characters) is the CRC-32 of all that precedes it. All three are in base 62.
"""

import re
import secrets
import string
import zlib
from dataclasses import dataclass, field

PREFIX = "sk-antiphon-"
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ID_LENGTH = 10
_SECRET_BITS = 256
_SECRET_LENGTH = 43
_CHECKSUM_LENGTH = 6
_TOKEN = re.compile(
    f"({PREFIX}([0-9A-Za-z]{{{_ID_LENGTH}}})-([0-9A-Za-z]{{{_SECRET_LENGTH}}})-)"
    f"([0-9A-Za-z]{{{_CHECKSUM_LENGTH}}})",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Token:
    """API key: its id, which is no secret, and its secret."""

    id: str
    secret: str = field(repr=False)

    @classmethod
    def new(cls) -> "Token":
        """Return a random token."""
        token_id = "".join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH))
        return cls(token_id, _base62(secrets.randbits(_SECRET_BITS), _SECRET_LENGTH))

    def reveal(self) -> str:
        """Return the token as a client sends it."""
        body = f"{PREFIX}{self.id}-{self.secret}-"
        return body + _checksum(body)


def parse_token(text: str) -> Token | None:
    """Return the token that a client sent; None if it has another form or a wrong checksum."""
    found = _TOKEN.fullmatch(text)
    if found is None or _checksum(found[1]) != found[4]:
        return None
    return Token(found[2], found[3])


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _CHECKSUM_LENGTH)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
