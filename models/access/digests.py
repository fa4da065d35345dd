"""Digests of API keys, which are stored in the place of their secrets.

A digest is the HMAC-SHA256 of a secret under a pepper, a key that is derived from the secret file
and never in the database: a copy of the database does not suffice to test guesses.
"""

import hmac
from dataclasses import dataclass

from models.access.tokens import Token
from models.encryption.vault import DerivedKey, SecretVault

_PURPOSE = "api keys"


class NoSecretFileError(Exception):
    """Raised if there is no secret file to derive peppers from."""


@dataclass(frozen=True, slots=True)
class KeyDigest:
    """Stored digest (32 bytes) of a key, and the fingerprint of the pepper that it is made with."""

    value: bytes
    pepper: str


def digest_of(token: Token, vault: SecretVault) -> KeyDigest:
    """Return the digest under the newest pepper; raise `NoSecretFileError` if there is none."""
    peppers = vault.derive(_PURPOSE)
    if not peppers:
        raise NoSecretFileError("ANTIPHON_SECRET_FILE names no file, which API keys need.")
    return KeyDigest(_hmac(token, peppers[0]), peppers[0].fingerprint)


def matches(token: Token, stored: KeyDigest, vault: SecretVault) -> bool:
    """Return True if a token has the stored digest; takes the same time for any secret."""
    pepper = vault.find_derived(_PURPOSE, stored.pepper)
    return pepper is not None and hmac.compare_digest(_hmac(token, pepper), stored.value)


def is_current(stored: KeyDigest, vault: SecretVault) -> bool:
    """Return True if a digest is made with the newest pepper."""
    return any(pepper.fingerprint == stored.pepper for pepper in vault.derive(_PURPOSE)[:1])


def _hmac(token: Token, pepper: DerivedKey) -> bytes:
    return hmac.digest(pepper.key, token.secret.encode(), "sha256")
