"""Certificates for tests: self-signed ones, and ones signed by an authority that tests trust."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

_VALID = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """Certificate and its key, both PEM."""

    certificate: bytes
    key: bytes
    private_key: ec.EllipticCurvePrivateKey
    name: x509.Name

    def encrypted_key(self, password: bytes) -> bytes:
        """Return the key, encrypted."""
        encryption = BestAvailableEncryption(password)
        return self.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def make_certificate(
    *names: str,
    issuer: Certificate | None = None,
    is_authority: bool = False,
    valid: timedelta = _VALID,
) -> Certificate:
    """Return a certificate for host names and addresses, self-signed unless there is an issuer.

    It is valid for `valid` from now on; one that is negative has expired so long ago.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        issuer.name if issuer else name, name, key.public_key(), x509.random_serial_number()
    ).not_valid_before(now - _VALID - abs(valid))
    made = (
        builder.not_valid_after(now + valid)
        .add_extension(x509.SubjectAlternativeName([*map(_general_name, names)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .sign(issuer.private_key if issuer else key, hashes.SHA256())
    )
    return Certificate(
        certificate=made.public_bytes(Encoding.PEM),
        key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        private_key=key,
        name=name,
    )


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Files of a server's certificate and key, and of the authority that clients trust."""

    certificate: Path
    key: Path
    authority: Path

    @classmethod
    def make(cls, folder: Path) -> Self:
        """Make a certificate of this machine, signed by an authority of its own."""
        authority = make_certificate("Authority", is_authority=True)
        made = make_certificate("localhost", "127.0.0.1", issuer=authority)
        files = cls(folder / "server.pem", folder / "server.key", folder / "authority.pem")
        files.certificate.write_bytes(made.certificate)
        files.key.write_bytes(made.key)
        files.authority.write_bytes(authority.certificate)
        return files


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
