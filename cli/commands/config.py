"""`antiphon config`: every setting with its value, and where that comes from."""

import os
from pathlib import Path
from typing import Any

import typer

from cli.client.options import Json, Key, Url
from cli.client.output import WRONG_USE, fail, print_json, print_table

app = typer.Typer(no_args_is_help=True, help="The settings in effect.")

_HIDDEN = "********"


@app.command()
def show(server: Url = "", key: Key = "", as_json: Json = False) -> None:
    """Show every setting and its origin: default, environment or file. Secrets are masked."""
    from models.settings import SettingsError

    try:
        rows = [*_client_rows(server, key), *_setting_rows()]
    except SettingsError as error:
        fail(str(error), code=WRONG_USE)
    if as_json:
        names = ("variable", "value", "origin")
        print_json({"object": "list", "data": [dict(zip(names, row, strict=True)) for row in rows]})
    else:
        print_table(("variable", "value", "origin"), rows)


def _client_rows(server: str, key: str) -> list[tuple[str, Any, str]]:
    """Return the rows of what the commands that call a server use."""
    from cli.client.target import find_target

    target = find_target(server, key)
    shown_key = _HIDDEN if target.key else None
    return [
        ("ANTIPHON_BASE_URL", target.base_url, target.url_origin),
        ("ANTIPHON_API_KEY", shown_key, target.key_origin),
    ]


def _setting_rows() -> list[tuple[str, Any, str]]:
    from models.settings import SECRETS_DIR, Settings, load_settings, variable_of

    settings = load_settings()
    return [
        (variable, _shown(variable, getattr(settings, name)), _origin(variable, SECRETS_DIR))
        for name in Settings.model_fields
        for variable in [variable_of(name)]
    ]


def _origin(variable: str, secrets_dir: Path) -> str:
    names = {name.upper() for name in os.environ}
    if variable in names:
        return "environment"
    for path in secrets_dir.iterdir() if secrets_dir.is_dir() else ():
        if path.name.upper() == variable:
            return str(path)
    return "default"


def _shown(variable: str, value: Any) -> str | None:
    """Return a value for people to read: passwords in addresses and headers are masked."""
    if value in (None, "", (), {}):
        return None
    if variable == "ANTIPHON_MCP_SERVERS":
        return ", ".join(f"{label}={server.url}" for label, server in value.items())
    if variable == "ANTIPHON_VLLM_ARGS":
        return str(value) or None
    if variable.endswith("_URL"):
        return _without_password(str(value))
    if isinstance(value, dict):
        return ", ".join(f"{name}={given}" for name, given in value.items())
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _without_password(url: str) -> str:
    """Return an address without its password, wherever it is."""
    import re

    masked = re.sub(r"(://[^/@]*?:)[^/]*@", rf"\g<1>{_HIDDEN}@", url)
    return re.sub(r"(?i)([?&](?:password|sslpassword)=)[^&]*", rf"\g<1>{_HIDDEN}", masked)
