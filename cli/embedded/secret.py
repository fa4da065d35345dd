"""A server's password, made once and kept in a file only its owner can read."""

import os
import secrets
from pathlib import Path


def load_or_create_secret(path: Path) -> str:
    """The password in the file; a new one is written, with mode 0600, where there is none."""
    if path.exists():
        return path.read_text().strip()
    password = secrets.token_urlsafe(24)
    write_private(path, password + "\n")
    return password


def write_private(path: Path, text: str) -> None:
    """Replace the file by one that only its owner can read, at no moment half-written."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)
