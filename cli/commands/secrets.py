"""`antiphon secrets`: rotation of the keys that encrypt what the database stores."""

import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from models.access.digests import is_current
from models.database.refusal import UpkeepRefusedError
from models.encryption.key_file import RECHECK_S
from models.encryption.vault import VaultError
from models.settings import SettingsError, load_settings

if TYPE_CHECKING:
    from models.store.store import Store

app = typer.Typer(no_args_is_help=True, help="Keys that encrypt what the database stores.")

SETTLE_S = 5 * RECHECK_S
"""Seconds after a change of a file at which no process still encrypts with its old first key."""


@app.command()
def rotate() -> None:
    """Encrypt everything under the first keys of the files; the others may then be removed."""
    from models.store.store import Store

    try:
        settings = load_settings()
        if settings.database_url is None:
            _fail("DATABASE_URL is not set", code=2)
        if settings.secret_file is None:
            _fail("ANTIPHON_SECRET_FILE names no file", code=2)
        with closing(
            Store.open(
                settings.database_url,
                maintenance_url=settings.database_maintenance_url,
                pool_size=1,
                secret_file=settings.secret_file,
            )
        ) as store:
            _wait_until_settled(settings.secret_file)
            rotation = store.secrets.rotate()
            typer.echo(f"{rotation.num_changed} secrets are encrypted anew")
            _tell_unused(store)
    except (SettingsError, VaultError, UpkeepRefusedError) as error:
        _fail(str(error), code=2)
    if rotation.num_unreadable:
        _fail(f"{rotation.num_unreadable} cannot be decrypted with any line of the file", code=1)


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


def _wait_until_settled(path: Path) -> None:
    """Wait until every process has read a file since its last change."""
    age_s = time.time() - path.stat().st_mtime
    time.sleep(min(SETTLE_S, max(0.0, SETTLE_S - age_s)))


def _fail(message: str, *, code: int) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)
