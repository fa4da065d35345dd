"""Encryption of what the database stores under other keys than before."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cli.client.output import fail
from models.access.digests import is_current
from models.database.refusal import UpkeepRefusedError
from models.encryption.content_keys import ContentKeyError
from models.encryption.key_file import RECHECK_S
from models.encryption.vault import VaultError
from models.errors import AppError
from models.settings import Settings, SettingsError, load_settings

if TYPE_CHECKING:
    from models.store.store import Store

SETTLE_S = 5 * RECHECK_S
"""Seconds after a change of a file at which no process still encrypts with its old first key."""


def rotate() -> None:
    """Encrypt everything under the first keys of the files; the others may then be removed."""
    with _opened_store() as (store, settings):
        files = [path for path in (settings.secret_file, settings.content_keys_file) if path]
        if not files:
            fail("neither ANTIPHON_SECRET_FILE nor ANTIPHON_CONTENT_KEYS_FILE is set", code=2)
        _wait_until_settled(files)
        rotation = store.secrets.rotate()
        num_data_keys = store.data_keys.rotate()
        typer.echo(f"{rotation.num_changed} secrets are encrypted anew")
        typer.echo(f"{num_data_keys} data keys of projects are encrypted anew")
        _tell_unused(store)
    if rotation.num_unreadable:
        fail(f"{rotation.num_unreadable} cannot be decrypted with any line of the file", code=1)


def encrypt_content() -> None:
    """Encrypt content that was stored before there were content keys."""
    with _opened_store() as (store, _):
        if not store.data_keys.encrypts:
            fail("ANTIPHON_CONTENT_KEYS_FILE names no file with a key", code=2)
        num_encrypted = Counter(store.old_content.encrypt())
    for project_id, number in sorted(num_encrypted.items()):
        typer.echo(f"{project_id}\t{number} responses and conversations")


@contextmanager
def _opened_store() -> Iterator[tuple["Store", Settings]]:
    """Open the store of the settings; exit if they, or one of the files, are of no use."""
    from models.store.store import Store

    try:
        settings = load_settings()
        if settings.database_url is None:
            fail("DATABASE_URL is not set", code=2)
        store = Store.open(
            settings.database_url,
            maintenance_url=settings.database_maintenance_url,
            pool_size=1,
            secret_file=settings.secret_file,
            content_keys_file=settings.content_keys_file,
        )
        with closing(store):
            yield store, settings
    except (SettingsError, VaultError, ContentKeyError, UpkeepRefusedError) as error:
        fail(str(error), code=2)
    except AppError as error:
        fail(error.message, code=1)


def _tell_unused(store: "Store") -> None:
    """Name the API keys whose digests are still made with an old line: only a use renews them."""
    now, vault = datetime.now(UTC), store.api_keys.vault
    unused = [
        key
        for key in store.api_keys.list_keys()
        if key.revoked_at is None
        and (key.expires_at is None or key.expires_at > now)
        and not is_current(key.digest, vault)
    ]
    if unused:
        typer.echo(f"{len(unused)} API keys must be used once before an old line is removed:")
    for key in unused:
        typer.echo(f"{key.project_id}\t{key.id}\t{key.name}")


def _wait_until_settled(paths: list[Path]) -> None:
    """Wait until every process has read the files since their last change."""
    age_s = time.time() - max(path.stat().st_mtime for path in paths)
    time.sleep(min(SETTLE_S, max(0.0, SETTLE_S - age_s)))
