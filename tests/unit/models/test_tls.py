"""Certificate and key of the API: files that cannot be used are told of before the start."""

import ssl
from pathlib import Path

import pytest

from models.settings import Settings, SettingsError
from models.tls import load_tls_context
from tests.certificates import TlsFiles, make_certificate


def load(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    return load_tls_context(Settings(tls_cert_file=certificate, tls_key_file=key))


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    return TlsFiles.make(tmp_path)


def test_it_works(files: TlsFiles) -> None:
    context = load(files.certificate, files.key)

    assert context is not None
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_there_is_none_without_files() -> None:
    assert load(None, None) is None


def test_both_files_are_needed(files: TlsFiles) -> None:
    with pytest.raises(SettingsError, match="ANTIPHON_TLS_KEY_FILE is not set"):
        load(files.certificate, None)
    with pytest.raises(SettingsError, match="ANTIPHON_TLS_CERT_FILE is not set"):
        load(None, files.key)


def test_a_file_that_is_missing_is_named(files: TlsFiles, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.key'.*No such file"):
        load(files.certificate, tmp_path / "none.key")


@pytest.mark.parametrize("content", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_file_that_is_no_certificate_is_refused(files: TlsFiles, content: bytes) -> None:
    files.certificate.write_bytes(content)

    with pytest.raises(SettingsError, match="no certificate and key in PEM format"):
        load(files.certificate, files.key)


def test_a_key_of_another_certificate_is_refused(files: TlsFiles) -> None:
    files.key.write_bytes(make_certificate("localhost").key)

    with pytest.raises(SettingsError, match="the key is not that of the certificate"):
        load(files.certificate, files.key)


def test_an_encrypted_key_is_refused_and_no_password_asked(files: TlsFiles) -> None:
    made = make_certificate("localhost")
    files.certificate.write_bytes(made.certificate)
    files.key.write_bytes(made.encrypted_key(b"password"))

    with pytest.raises(SettingsError, match="the key is encrypted"):
        load(files.certificate, files.key)
