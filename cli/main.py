"""Commands of `antiphon`: each reads the settings and calls the package that does the work.

Packages are imported inside the commands, after the settings are validated: the supervisor must not
import torch, nor a worker Flask.
"""

import os
import socket
from contextlib import closing
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from cli.commands import audit, keys, projects, secrets, webhooks
from models.encryption.content_keys import ContentKeyError, ContentKeyring
from models.encryption.vault import SecretVault, VaultError
from models.settings import Settings, SettingsError, load_settings
from models.tracing.tracer import check_packages

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A self-hosted server for the OpenResponses API.",
)
models_app = typer.Typer(no_args_is_help=True, help="The weights of the served model.")
app.add_typer(models_app, name="models")
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(secrets.app, name="secrets")
app.add_typer(projects.app, name="projects")
app.add_typer(keys.app, name="keys")
app.command("audit")(audit.show)

_ROOT = Path(__file__).parents[1]


@app.command()
def up() -> None:
    """Start the database, the queue, the workers and the API; stop them with Ctrl-C."""
    from cli.commands.up import run
    from cli.embedded import EmbeddedServerError
    from cli.supervisor.run_folder import AlreadyRunningError
    from cli.supervisor.supervisor import ChildFailedError

    settings = _settings()
    try:
        run(settings)
    except SettingsError as error:
        _fail(str(error), code=2)
    except (AlreadyRunningError, ChildFailedError, EmbeddedServerError) as error:
        _fail(str(error), code=1)


@app.command()
def migrate() -> None:
    """Bring the tables of DATABASE_URL to this version, and encrypt the secrets in them."""
    from alembic import command
    from alembic.config import Config

    from cli.commands.bootstrap import register_bootstrap_key
    from migrations.grants import grant_rights
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
            _fail(str(error), code=2)
        if settings.bootstrap_key_file is not None:
            try:
                register_bootstrap_key(store, settings.bootstrap_key_file)
            except (SettingsError, OSError) as error:
                _fail(f"ANTIPHON_BOOTSTRAP_KEY_FILE: {error}", code=2)


@app.command()
def roles(
    passwords: Annotated[Path, typer.Argument(help="Folder with a file for each role's password.")],
) -> None:
    """Create the three database roles, or set their passwords; DATABASE_URL is a superuser's."""
    import psycopg

    from cli.commands.roles import run

    url = _settings().database_url
    if url is None:
        _fail("DATABASE_URL is not set", code=2)
    try:
        run(url, passwords)
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}", code=2)
    except psycopg.Error as error:
        _fail(f"DATABASE_URL: {str(error).strip()}", code=1)


@app.command()
def settings() -> None:
    """Print the reference of all settings as Markdown."""
    from cli.commands.settings import settings_reference

    typer.echo(settings_reference(), nl=False)


@app.command()
def metrics() -> None:
    """Print the reference of all metrics as Markdown."""
    from cli.commands.metrics import metrics_reference

    typer.echo(metrics_reference(), nl=False)


@app.command()
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


@app.command()
def api() -> None:
    """Serve HTTP until SIGTERM."""
    settings = _connected_settings()
    from api.server import serve

    try:
        serve(settings)
    except SettingsError as error:
        _fail(str(error), code=2)


@app.command()
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
        _fail(f"--model {model} is none of the served models: {known}", code=2)
    from worker.engine.interface import ModelTooLargeError, UnsupportedModelError
    from worker.main import main

    try:
        main(chosen[0], name or socket.gethostname(), pulse)
    except (ModelTooLargeError, UnsupportedModelError) as error:
        _fail(f"{chosen[0].model} cannot be served: {error}", code=2)


@app.command()
def maintenance(
    pulse: Annotated[Path | None, typer.Option(help="File to touch in every round.")] = None,
) -> None:
    """Resend lost wake-ups, reclaim responses of dead workers, apply retention until SIGTERM."""
    settings = _connected_settings()
    from worker.maintenance.maintenance import main

    main(settings, pulse)


@models_app.command()
def pull(
    model: Annotated[
        str, typer.Argument(help="owner/name[@revision], or a .gguf file; else all that is served.")
    ] = "",
) -> None:
    """Fetch and convert the weights of a model, or of every served one, unless they are there."""
    from rich.console import Console

    from cli.supervisor.console import StepConsole
    from models.profile.weights import locate_weights

    settings = _settings()
    chosen = [settings.model_copy(update={"model": model})] if model else settings.split_by_model()
    # Libraries read this on import; their progress bars would mix with ours.
    os.environ["TQDM_DISABLE"] = "1"
    from worker.weights.fetch import WeightsError, prepare_graph, prepare_weights

    console = StepConsole(Console())
    try:
        for model_settings in chosen:
            weights = locate_weights(model_settings)
            prepare_weights(model_settings, weights, console.step)
            prepare_graph(model_settings, weights, console.step)
    except WeightsError as error:
        _fail(str(error), code=1)


def _connected_settings() -> Settings:
    """Return the settings; exit with code 2 unless both DATABASE_URL and REDIS_URL are set.

    Exit with 2 as well if a file of keys cannot be read.
    """
    settings = _settings()
    for variable, value in (
        ("DATABASE_URL", settings.database_url),
        ("REDIS_URL", settings.redis_url),
    ):
        if value is None:
            _fail(f"{variable} is not set; `antiphon up` starts servers of its own", code=2)
    try:
        SecretVault.load(settings.secret_file)
        ContentKeyring.load(settings.content_keys_file)
    except (VaultError, ContentKeyError) as error:
        _fail(str(error), code=2)
    return settings


def _settings() -> Settings:
    try:
        settings = load_settings()
        check_packages(settings)
    except SettingsError as error:
        _fail(str(error), code=2)
    return settings


def _fail(message: str, *, code: int) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)
