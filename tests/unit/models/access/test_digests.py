"""Digests of API keys under a pepper."""

import hashlib
from pathlib import Path

import pytest

from models.access.digests import KeyDigest, NoSecretFileError, digest_of, is_current, matches
from models.access.tokens import Token
from models.encryption.vault import SecretVault


@pytest.fixture
def vault(tmp_path: Path) -> SecretVault:
    path = tmp_path / "secret"
    path.write_text("a secret of the server\n")
    return SecretVault.load(path)


def test_a_token_matches_its_own_digest_only(vault: SecretVault) -> None:
    token = Token.new()
    digest = digest_of(token, vault)

    assert matches(token, digest, vault)
    assert not matches(Token(token.id, Token.new().secret), digest, vault)


def test_the_digest_is_keyed(vault: SecretVault, tmp_path: Path) -> None:
    token = Token.new()
    (tmp_path / "other").write_text("another secret of it\n")
    other = SecretVault.load(tmp_path / "other")
    digest = digest_of(token, vault)

    assert digest.value != hashlib.sha256(token.secret.encode()).digest()
    assert digest.value != digest_of(token, other).value
    assert not matches(token, digest, other)


def test_a_digest_of_the_present_pepper_is_current(vault: SecretVault, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("another secret of it\n")
    digest = digest_of(Token.new(), vault)

    assert is_current(digest, vault)
    assert not is_current(digest, SecretVault.load(tmp_path / "other"))


def test_a_pepper_that_was_just_added_to_the_file_is_found(
    vault: SecretVault, tmp_path: Path
) -> None:
    token, path = Token.new(), tmp_path / "secret"
    path.write_text("the next secret of it\na secret of the server\n")

    digest = digest_of(token, SecretVault.load(path))

    assert matches(token, digest, vault)
    assert not matches(token, KeyDigest(digest.value, "00000000"), vault)


def test_there_are_no_digests_without_a_secret_file() -> None:
    with pytest.raises(NoSecretFileError, match="ANTIPHON_SECRET_FILE"):
        digest_of(Token.new(), SecretVault())
