import base64
import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from models.encryption.vault import SecretVault, VaultError
from models.ids import new_id


def load(folder: Path, text: str) -> SecretVault:
    path = folder / f"secret-{new_id()}"
    path.write_text(text)
    return SecretVault.load(path)


@pytest.fixture
def vault(tmp_path: Path) -> SecretVault:
    return load(tmp_path, "a secret of the server\n")


def test_it_works(vault: SecretVault) -> None:
    stored = vault.encrypt("owner", "whsec_é")

    assert "whsec" not in stored
    assert vault.is_encrypted(stored)
    assert vault.decrypt("owner", stored) == "whsec_é"
    assert vault.encrypt("owner", "whsec_é") != stored


def test_a_secret_is_of_one_owner_and_file(vault: SecretVault, tmp_path: Path) -> None:
    stored = vault.encrypt("owner", "whsec_a")

    with pytest.raises(VaultError, match="another ANTIPHON_SECRET_FILE"):
        vault.decrypt("other", stored)
    with pytest.raises(VaultError, match="another ANTIPHON_SECRET_FILE"):
        load(tmp_path, "another secret of it").decrypt("owner", stored)
    with pytest.raises(VaultError, match="ANTIPHON_SECRET_FILE names no file"):
        SecretVault().decrypt("owner", stored)


def test_without_a_file_secrets_are_in_the_clear(vault: SecretVault) -> None:
    assert SecretVault.load(None).encrypt("owner", "whsec_a") == "whsec_a"
    assert vault.decrypt("owner", "whsec_a") == "whsec_a"


def test_a_file_that_is_none_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(VaultError, match="shorter than 16"):
        load(tmp_path, "short")
    with pytest.raises(VaultError, match="missing"):
        SecretVault.load(tmp_path / "missing")


def test_the_first_line_encrypts_and_every_line_decrypts(tmp_path: Path) -> None:
    old, new = "the old secret of it", "the new secret of it"
    before = load(tmp_path, f"{old}\n")
    both, after = load(tmp_path, f"{new}\n{old}\n"), load(tmp_path, f"{new}\n")

    stored = both.encrypt("owner", "whsec_a")

    assert after.decrypt("owner", stored) == "whsec_a"
    assert both.decrypt("owner", before.encrypt("owner", "whsec_b")) == "whsec_b"
    assert both.is_current("owner", stored)
    assert not both.is_current("owner", before.encrypt("owner", "whsec_b"))
    assert not both.is_current("owner", "whsec_b")
    with pytest.raises(VaultError, match="another ANTIPHON_SECRET_FILE"):
        before.decrypt("owner", stored)


def test_a_secret_of_a_line_that_was_just_added_is_decrypted_at_once(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("the old secret of it\n")
    running = SecretVault.load(path)

    path.write_text("the new secret of it\nthe old secret of it\n")

    stored = SecretVault.load(path).encrypt("owner", "whsec_a")
    assert running.decrypt("owner", stored) == "whsec_a"


def test_what_the_whole_of_several_lines_encrypted_before_is_decrypted(tmp_path: Path) -> None:
    lines = "c2VjcmV0IG9mIHNldmVy\nYWwgbGluZXMgb2YgaXQ="
    key = hashlib.sha256(b"antiphon secrets\0" + lines.encode()).digest()
    encrypted = AESGCM(key).encrypt(bytes(12), b"whsec_a", b"owner")
    stored = f"enc1:{base64.b64encode(bytes(12) + encrypted).decode()}"

    assert load(tmp_path, lines + "\n").decrypt("owner", stored) == "whsec_a"


def test_keys_for_other_purposes_are_derived_newest_first_and_outlive_a_rotation(
    tmp_path: Path,
) -> None:
    old, new = "the old secret of it", "the new secret of it"
    [before] = load(tmp_path, old).derive("api keys")
    rotating = load(tmp_path, f"{new}\n{old}").derive("api keys")
    [after] = load(tmp_path, new).derive("api keys")

    assert rotating[:2] == (after, before)
    assert len(before.key) == 32
    assert before.fingerprint != after.fingerprint
    assert load(tmp_path, old).derive("another purpose")[0].key != before.key
    assert SecretVault().derive("api keys") == ()
    assert old not in repr(before)
