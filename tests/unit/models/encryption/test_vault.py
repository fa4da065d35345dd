from pathlib import Path

import pytest

from models.encryption.vault import SecretVault, VaultError


def load(folder: Path, text: str) -> SecretVault:
    path = folder / f"secret-{text}"
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
