"""TLS of the API: its certificate and key, read from files and checked before a server starts."""

import ssl

from models.settings import Settings, SettingsError

PROTOCOL = "http/1.1"
"""Protocol that is offered to clients (ALPN, RFC 7301)."""


def load_tls_context(settings: Settings) -> ssl.SSLContext | None:
    """Return the context of all connections; None if the API is served without TLS.

    Raises `SettingsError` for files that are missing, unreadable, or do not belong together.
    """
    certificate, key = settings.tls_cert_file, settings.tls_key_file
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        missing = "ANTIPHON_TLS_CERT_FILE" if certificate is None else "ANTIPHON_TLS_KEY_FILE"
        raise SettingsError(f"{missing} is not set: TLS needs a certificate and its key")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols([PROTOCOL])
    try:
        # An encrypted key is refused: OpenSSL would ask for the password on the terminal.
        context.load_cert_chain(certificate, key, password=_refuse_password)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"ANTIPHON_TLS_CERT_FILE={str(certificate)!r}, ANTIPHON_TLS_KEY_FILE={str(key)!r}: "
            f"they cannot be used: {_reason(error)}"
        ) from None
    return context


def _refuse_password() -> str:
    raise ValueError("the key is encrypted")


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError):
        reasons = {"KEY_VALUES_MISMATCH": "the key is not that of the certificate"}
        return reasons.get(error.reason or "", "they are no certificate and key in PEM format")
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
