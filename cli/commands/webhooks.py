"""`antiphon webhooks`: endpoints and their deliveries, through the API of a running server."""

import json
from typing import Annotated, Any, NoReturn

import typer

from cli.supervisor.readiness import base_url
from models.settings import SettingsError, load_settings

app = typer.Typer(no_args_is_help=True, help="Who is told when a background response has ended.")

Url = Annotated[
    str, typer.Option("--server", envvar="ANTIPHON_URL", help="http://host:port of the API.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the API's answer.")]
EndpointId = Annotated[str, typer.Argument(help="we_…")]

_PATH = "/v1/webhook_endpoints"
_TIMEOUT_S = 30.0
"""Timeout of a request to the API, in seconds."""


@app.command()
def add(
    url: Annotated[str, typer.Argument(help="Where to deliver: https://…")],
    name: Annotated[str, typer.Option(help="For people to tell it by.")] = "webhook",
    event: Annotated[list[str] | None, typer.Option(help="response.completed …; else all.")] = None,
    server: Url = "",
    as_json: Json = False,
) -> None:
    """Add an endpoint and show its signing secret, this once."""
    body = {"url": url, "name": name} | ({"event_types": event} if event else {})
    _show(_call(server, "POST", _PATH, body), ("id", "url", "signing_secret"), as_json)


@app.command("ls")
def list_endpoints(server: Url = "", as_json: Json = False) -> None:
    """List the endpoints."""
    columns = ("id", "name", "url", "event_types", "enabled", "failing_since")
    _show(_call(server, "GET", f"{_PATH}?limit=100"), columns, as_json)


@app.command("rm")
def remove(endpoint_id: EndpointId, server: Url = "", as_json: Json = False) -> None:
    """Delete an endpoint and what is pending for it."""
    _show(_call(server, "DELETE", f"{_PATH}/{endpoint_id}"), ("id", "deleted"), as_json)


@app.command()
def enable(endpoint_id: EndpointId, server: Url = "", as_json: Json = False) -> None:
    """Enable an endpoint again that answered 410 or was disabled."""
    answer = _call(server, "POST", f"{_PATH}/{endpoint_id}", {"enabled": True})
    _show(answer, ("id", "enabled"), as_json)


@app.command()
def disable(endpoint_id: EndpointId, server: Url = "", as_json: Json = False) -> None:
    """Tell an endpoint of nothing until it is enabled again."""
    answer = _call(server, "POST", f"{_PATH}/{endpoint_id}", {"enabled": False})
    _show(answer, ("id", "enabled"), as_json)


@app.command()
def rotate(
    endpoint_id: EndpointId,
    keep_old: Annotated[bool, typer.Option(help="Sign with the old one too for a day.")] = True,
    server: Url = "",
    as_json: Json = False,
) -> None:
    """Give an endpoint a new signing secret and show it, this once."""
    body = {"keep_old_secret_active_for_24_hours": keep_old}
    answer = _call(server, "POST", f"{_PATH}/{endpoint_id}/rotate_secret", body)
    _show(answer, ("id", "signing_secret"), as_json)


@app.command("test")
def try_out(
    endpoint_id: EndpointId,
    event: Annotated[str, typer.Option(help="Which event to make up.")] = "response.completed",
    server: Url = "",
    as_json: Json = False,
) -> None:
    """Send a made-up event now and show what was answered."""
    answer = _call(server, "POST", f"{_PATH}/{endpoint_id}/test", {"event_type": event})
    _show(answer, ("webhook_endpoint_id", "event_type", "status_code"), as_json)


@app.command()
def dead(endpoint_id: EndpointId, server: Url = "", as_json: Json = False) -> None:
    """List the deliveries that were given up."""
    path = f"{_PATH}/{endpoint_id}/deliveries?status=dead&limit=100"
    _show(_call(server, "GET", path), ("response_id", "event_type", "last_error"), as_json)


@app.command()
def replay(
    endpoint_id: EndpointId,
    response: Annotated[list[str] | None, typer.Argument(help="resp_…; else all.")] = None,
    server: Url = "",
    as_json: Json = False,
) -> None:
    """Send again what was given up."""
    body = {"response_ids": response} if response else {}
    answer = _call(server, "POST", f"{_PATH}/{endpoint_id}/replay", body)
    _show(answer, ("webhook_endpoint_id", "num_replayed"), as_json)


def _call(server: str, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Return the parsed response of the API; exit with code 1 on an error or no response.

    Exits with code 2 if the settings are invalid.
    """
    import httpx2

    try:
        url = (server or _default_url()).rstrip("/") + path
        answer = httpx2.request(method, url, json=body, timeout=_TIMEOUT_S)
    except SettingsError as error:
        _fail(str(error), code=2)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        _fail(f"no answer from {server or 'the server'}: {error}", code=1)
    if answer.is_error:
        _fail(answer.json()["error"]["message"], code=1)
    return answer.json()


def _default_url() -> str:
    return base_url(load_settings())


def _fail(message: str, *, code: int) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)


def _show(answer: Any, columns: tuple[str, ...], as_json: bool) -> None:
    """Print one line of tab-separated fields per object, or the JSON as received."""
    if as_json:
        typer.echo(json.dumps(answer))
        return
    for row in answer["data"] if answer.get("object") == "list" else [answer]:
        typer.echo("\t".join(_format_cell(row[column]) for column in columns))


def _format_cell(value: Any) -> str:
    if value is None:
        return "-"
    text = ",".join(value) if isinstance(value, list) else str(value)
    # Names and errors are untrusted: strip control characters that a terminal would interpret.
    return "".join(char if char.isprintable() else "?" for char in text)
