"""Content key of the tests: one for all, since the default project keeps its data key."""

import base64
from pathlib import Path

CONTENT_KEY = base64.b64encode(b"k" * 32).decode()


def write_content_keys(folder: Path) -> Path:
    """Write a file with the key; return its path."""
    path = folder / "content-keys"
    path.write_text(f"{CONTENT_KEY}\n")
    return path
