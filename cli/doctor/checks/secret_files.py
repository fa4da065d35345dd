"""Files of secrets: there, readable, valid, and for their owner alone."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from cli.doctor.finding import Finding, NotApplicable
from cli.doctor.installation import Installation


def secret_file(at: Installation) -> Iterator[Finding]:
    """Look at the file that encrypts the secrets of the server in the database."""
    from models.encryption.vault import SecretVault, VaultError

    path = at.secret_file
    if path is None:
        if at.settings.database_url is None:
            raise NotApplicable("./antiphon up makes it")
        yield Finding(
            "ANTIPHON_SECRET_FILE is not set: keys and secrets of webhooks are stored in the clear",
            "openssl rand -base64 32 > FILE, chmod 600 FILE, and set it for all processes",
        )
        return
    try:
        SecretVault.load(path)
    except VaultError as error:
        yield Finding(str(error), f"restore {path} from your backup; a new one cannot decrypt")
        return
    yield from _find_open(path, "ANTIPHON_SECRET_FILE")


def content_keys(at: Installation) -> Iterator[Finding]:
    """Look at the file that encrypts content at rest."""
    from models.encryption.content_keys import ContentKeyError, ContentKeyring

    path = at.settings.content_keys_file
    if path is None:
        raise NotApplicable("content is stored in the clear")
    try:
        ContentKeyring.load(path)
    except ContentKeyError as error:
        yield Finding(str(error), "a key a line, in base64: openssl rand -base64 32")
        return
    yield from _find_open(path, "ANTIPHON_CONTENT_KEYS_FILE")


def other_files(at: Installation) -> Iterator[Finding]:
    """Look who can read the key of the certificate, the first API key, and our passwords."""
    settings = at.settings
    named = {
        "ANTIPHON_TLS_KEY_FILE": settings.tls_key_file,
        "ANTIPHON_BOOTSTRAP_KEY_FILE": settings.bootstrap_key_file,
        "run/env": settings.data_dir / "run" / "env",
        "pg.password": settings.data_dir / "pg.password",
        "valkey/password": settings.data_dir / "valkey" / "password",
    }
    for name, path in named.items():
        if path is not None:
            yield from _find_open(path, name)


def _find_open(path: Path, name: str) -> Iterator[Finding]:
    """Yield a finding if others than the owner can read a file; the group of root may."""
    try:
        found = path.stat()
    except OSError:
        return
    if found.st_mode & (stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP):
        mode = stat.S_IMODE(found.st_mode)
        yield Finding(f"{name}: others can read or change {path} ({mode:04o})", f"chmod 600 {path}")
