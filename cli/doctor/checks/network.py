"""Addresses: the port, who may reach it, proxies before it, and its certificate."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from cli.doctor.finding import Finding, NotApplicable
from cli.doctor.installation import Installation

_SOON = timedelta(days=14)


def port(at: Installation) -> Iterator[Finding]:
    """Look if the port is free, or if it is our API that listens there and is well."""
    from cli.embedded.ports import is_free
    from cli.supervisor.readiness import base_url, readiness

    settings = at.settings
    if is_free(settings.host, settings.port):
        if at.is_running:
            yield Finding(
                "antiphon up runs, but its API does not listen", "see log/api.log; start it again"
            )
        return
    found = readiness(settings)
    if found is None:
        yield Finding(
            f"port {settings.port} is taken by another program",
            "stop it, or choose another port: ANTIPHON_PORT",
        )
    elif missing := [name for name, is_well in found.items() if is_well is False]:
        yield Finding(
            f"{base_url(settings)} is not ready: {', '.join(missing)}",
            "see the other findings, and the logs in the data folder",
        )


def exposure(at: Installation) -> Iterator[Finding]:
    """Look if an open server can be reached by other machines."""
    from models.access.exposure import is_loopback

    settings = at.settings
    if is_loopback(settings.host):
        return
    [(has_tables,)] = at.query("SELECT to_regclass('api_keys') IS NOT NULL")
    statement = "SELECT EXISTS (SELECT FROM api_keys WHERE revoked_at IS NULL)"
    if not has_tables or not at.query(statement, upkeep=True)[0][0]:
        yield Finding(
            f"ANTIPHON_HOST={settings.host}: everyone who reaches it may use it without a key",
            "./antiphon keys create, or ANTIPHON_HOST=127.0.0.1",
        )
    elif settings.tls_cert_file is None and not settings.trusted_proxies:
        yield Finding(
            f"ANTIPHON_HOST={settings.host}: keys cross the network without TLS",
            "set ANTIPHON_TLS_CERT_FILE and ANTIPHON_TLS_KEY_FILE, or put a proxy before it",
        )


def proxies(at: Installation) -> Iterator[Finding]:
    """Look if the proxies that are trusted can be those before this server."""
    from models.access.exposure import is_loopback

    settings = at.settings
    for network in settings.trusted_proxies:
        if network.prefixlen == 0:
            yield Finding(
                f"ANTIPHON_TRUSTED_PROXIES={network}: every client may claim any address",
                "name the address of the proxy alone, for example 10.0.0.2",
            )
        elif is_loopback(settings.host) and not network.is_loopback:
            yield Finding(
                f"ANTIPHON_TRUSTED_PROXIES={network} cannot reach ANTIPHON_HOST={settings.host}",
                "ANTIPHON_HOST must be an address that the proxy reaches, or name 127.0.0.1",
            )
    if settings.trusted_proxies and not settings.allowed_hosts:
        yield Finding(
            "ANTIPHON_TRUSTED_PROXIES is set, and ANTIPHON_ALLOWED_HOSTS is not",
            "name the domain that the proxy passes on: ANTIPHON_ALLOWED_HOSTS=api.example.com",
        )


def certificate(at: Installation) -> Iterator[Finding]:
    """Look if the certificate can be used, and for how long."""
    from cryptography import x509

    from models.settings import SettingsError
    from models.tls import load_tls_context

    settings = at.settings
    if settings.tls_cert_file is None and settings.tls_key_file is None:
        raise NotApplicable("the API is served without TLS")
    try:
        load_tls_context(settings)
    except SettingsError as error:
        yield Finding(str(error), "name a certificate and its key, both PEM, and readable")
        return
    assert settings.tls_cert_file is not None
    found = x509.load_pem_x509_certificates(settings.tls_cert_file.read_bytes())[0]
    now, until = datetime.now(UTC), found.not_valid_after_utc
    if found.not_valid_before_utc > now:
        yield Finding(
            f"the certificate is valid from {found.not_valid_before_utc:%Y-%m-%d} on",
            "correct the clock, or have another one issued",
        )
    elif until < now + _SOON:
        verb = "has expired" if until < now else "expires"
        yield Finding(
            f"the certificate {verb} on {until:%Y-%m-%d}",
            "renew it, write it to ANTIPHON_TLS_CERT_FILE, and start the API again",
        )


def hosts(at: Installation) -> Iterator[Finding]:
    """Look if names that the API answers to are addresses of nobody, as a wildcard is."""
    if "*" in at.settings.allowed_hosts:
        yield Finding(
            "ANTIPHON_ALLOWED_HOSTS=*: pages of any domain may be made to point here",
            "name the domains: ANTIPHON_ALLOWED_HOSTS=api.example.com",
        )
    if "*" in at.settings.admin_hosts:
        yield Finding(
            "ANTIPHON_ADMIN_HOSTS=*: the admin API is answered under any name",
            "name the host that administrators use, or leave it out: then loopback alone",
        )
