"""Commands of `antiphon`: each reads the settings and calls the package that does the work.

Packages are imported inside the commands: `--help` and completion must be quick, the supervisor
must not import torch, nor a worker Flask.
"""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.client.local_settings import local_settings
from cli.client.output import fail
from cli.commands import config, doctor, secrets, webhooks, weights
from cli.commands.admin import audit, keys, projects
from cli.commands.responses import chat, follow, stored, submit, top
from cli.doctor.weights_files import find_fault

if TYPE_CHECKING:
    from models.settings import Settings

_ROOT = Path(__file__).parents[1]

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A self-hosted server for the OpenResponses API.",
)


def up() -> None:
    """Start the database, the queue, the workers and the API; stop them with Ctrl-C."""
    from cli.commands.up import run
    from cli.embedded import EmbeddedServerError
    from cli.supervisor.run_folder import AlreadyRunningError
    from cli.supervisor.supervisor import ChildFailedError
    from models.settings import SettingsError

    settings = local_settings()
    try:
        run(settings)
    except SettingsError as error:
        fail(str(error), code=2)
    except (AlreadyRunningError, ChildFailedError, EmbeddedServerError) as error:
        fail(str(error), code=1)


def migrate() -> None:
    """Bring the tables of DATABASE_URL to this version, and encrypt the secrets in them."""
    from alembic import command
    from alembic.config import Config

    from cli.commands.bootstrap import register_bootstrap_key
    from migrations.grants import grant_rights
    from models.encryption.content_keys import ContentKeyError
    from models.settings import SettingsError
    from models.store.store import Store

    settings = _connected_settings()
    url = settings.database_url
    assert url is not None
    config = Config(toml_file=_ROOT / "pyproject.toml")
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    command.upgrade(config, "head")
    grant_rights(url)
    with closing(
        Store.open(
            url,
            pool_size=1,
            secret_file=settings.secret_file,
            content_keys_file=settings.content_keys_file,
        )
    ) as store:
        store.secrets.rotate()
        try:
            store.data_keys.check()
        except ContentKeyError as error:
            fail(str(error), code=2)
        if settings.bootstrap_key_file is not None:
            try:
                register_bootstrap_key(store, settings.bootstrap_key_file)
            except (SettingsError, OSError) as error:
                fail(f"ANTIPHON_BOOTSTRAP_KEY_FILE: {error}", code=2)


def roles(
    passwords: Annotated[Path, typer.Argument(help="Folder with a file for each role's password.")],
) -> None:
    """Create the three database roles, or set their passwords; DATABASE_URL is a superuser's."""
    import psycopg

    from cli.commands.roles import run

    url = local_settings().database_url
    if url is None:
        fail("DATABASE_URL is not set", code=2)
    try:
        run(url, passwords)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}", code=2)
    except psycopg.Error as error:
        fail(f"DATABASE_URL: {str(error).strip()}", code=1)


def api() -> None:
    """Serve HTTP until SIGTERM."""
    settings = _connected_settings()
    from api.server import serve
    from models.settings import SettingsError

    try:
        serve(settings)
    except SettingsError as error:
        fail(str(error), code=2)


def worker(
    name: Annotated[str, typer.Option(help="Unique among the running workers.")] = "",
    model: Annotated[str, typer.Option(help="One of the served; the first by default.")] = "",
    pulse: Annotated[
        Path | None, typer.Option(help="File to touch four times a second while all is well.")
    ] = None,
) -> None:
    """Generate responses of one model until SIGTERM; the name defaults to the host's."""
    served = _connected_settings().split_by_model()
    chosen = [settings for settings in served if model in ("", settings.model)]
    if not chosen:
        known = ", ".join(settings.model for settings in served)
        fail(f"--model {model} is none of the served models: {known}", code=2)
    if fault := find_fault(chosen[0]):
        fail(fault, code=2)
    from worker.main import main
    from worker.process.loading import LoadError

    try:
        main(chosen[0], name or socket.gethostname(), pulse)
    except LoadError as error:
        fail(f"{chosen[0].model} cannot be served: {error}", code=2)


def maintenance(
    pulse: Annotated[Path | None, typer.Option(help="File to touch in every round.")] = None,
) -> None:
    """Resend lost wake-ups, reclaim responses of dead workers, apply retention until SIGTERM."""
    settings = _connected_settings()
    from worker.maintenance.maintenance import main

    main(settings, pulse)


def settings() -> None:
    """Print the reference of all settings as Markdown."""
    from cli.commands.settings import settings_reference

    typer.echo(settings_reference(), nl=False)


def metrics() -> None:
    """Print the reference of all metrics as Markdown."""
    from cli.commands.metrics import metrics_reference

    typer.echo(metrics_reference(), nl=False)


def fields(
    page: Annotated[
        Path | None, typer.Argument(help="Page whose section of fields is written anew.")
    ] = None,
) -> None:
    """Print what becomes of every field of a request as Markdown, or write it into a page."""
    from cli.commands.fields import fields_reference, write_reference

    if page is None:
        typer.echo(fields_reference(), nl=False)
    else:
        write_reference(page)


def _connected_settings() -> Settings:
    """Return the settings; exit with code 2 unless both DATABASE_URL and REDIS_URL are set.

    Exit with 2 as well if a file of keys cannot be read.
    """
    from models.encryption.content_keys import ContentKeyError, ContentKeyring
    from models.encryption.vault import SecretVault, VaultError

    settings = local_settings()
    for variable, value in (
        ("DATABASE_URL", settings.database_url),
        ("REDIS_URL", settings.redis_url),
    ):
        if value is None:
            fail(f"{variable} is not set; `antiphon up` starts servers of its own", code=2)
    try:
        SecretVault.load(settings.secret_file)
        ContentKeyring.load(settings.content_keys_file)
    except (VaultError, ContentKeyError) as error:
        fail(str(error), code=2)
    return settings


for _name, _command, _panel in (
    ("up", up, "Server"),
    ("doctor", doctor.doctor, "Server"),
    ("submit", submit.submit, "Responses"),
    ("wait", follow.wait, "Responses"),
    ("tail", follow.tail, "Responses"),
    ("chat", chat.chat, "Responses"),
    ("ls", stored.list_responses, "Responses"),
    ("show", stored.show, "Responses"),
    ("cancel", stored.cancel, "Responses"),
    ("retry", stored.retry, "Responses"),
    ("rm", stored.remove, "Responses"),
    ("top", top.top, "Responses"),
    ("audit", audit.show, "Administration"),
    ("migrate", migrate, "Processes, one at a time"),
    ("roles", roles, "Processes, one at a time"),
    ("api", api, "Processes, one at a time"),
    ("worker", worker, "Processes, one at a time"),
    ("maintenance", maintenance, "Processes, one at a time"),
    ("settings", settings, "Reference pages"),
    ("metrics", metrics, "Reference pages"),
    ("fields", fields, "Reference pages"),
):
    app.command(_name, rich_help_panel=_panel)(_command)

for _name, _group, _panel in (
    ("models", weights.app, "Server"),
    ("config", config.app, "Server"),
    ("webhooks", webhooks.app, "Administration"),
    ("projects", projects.app, "Administration"),
    ("keys", keys.app, "Administration"),
    ("secrets", secrets.app, "Administration"),
):
    app.add_typer(_group, name=_name, rich_help_panel=_panel)
