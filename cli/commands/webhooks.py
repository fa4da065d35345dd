"""`antiphon webhooks`: endpoints and their deliveries, through the API of a running server."""

from typing import Annotated

import typer

from cli.client.api_client import ApiClient
from cli.client.options import Json, Key, Url
from cli.client.output import show

app = typer.Typer(no_args_is_help=True, help="Who is told when a background response has ended.")

EndpointId = Annotated[str, typer.Argument(help="we_…")]

_PATH = "/v1/webhook_endpoints"


@app.command()
def add(
    url: Annotated[str, typer.Argument(help="Where to deliver: https://…")],
    name: Annotated[str, typer.Option(help="For people to tell it by.")] = "webhook",
    event: Annotated[list[str] | None, typer.Option(help="response.completed …; else all.")] = None,
    server: Url = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Add an endpoint and show its signing secret, this once."""
    body = {"url": url, "name": name} | ({"event_types": event} if event else {})
    show(ApiClient(server, key).call("POST", _PATH, body), ("id", "url", "signing_secret"), as_json)


@app.command("ls")
def list_endpoints(server: Url = "", key: Key = "", as_json: Json = False) -> None:
    """List the endpoints."""
    columns = ("id", "name", "url", "event_types", "enabled", "failing_since")
    show(ApiClient(server, key).call("GET", f"{_PATH}?limit=100"), columns, as_json)


@app.command("rm")
def remove(endpoint_id: EndpointId, server: Url = "", key: Key = "", as_json: Json = False) -> None:
    """Delete an endpoint and what is pending for it."""
    show(
        ApiClient(server, key).call("DELETE", f"{_PATH}/{endpoint_id}"), ("id", "deleted"), as_json
    )


@app.command()
def enable(endpoint_id: EndpointId, server: Url = "", key: Key = "", as_json: Json = False) -> None:
    """Enable an endpoint again that answered 410 or was disabled."""
    answer = ApiClient(server, key).call("POST", f"{_PATH}/{endpoint_id}", {"enabled": True})
    show(answer, ("id", "enabled"), as_json)


@app.command()
def disable(
    endpoint_id: EndpointId, server: Url = "", key: Key = "", as_json: Json = False
) -> None:
    """Tell an endpoint of nothing until it is enabled again."""
    answer = ApiClient(server, key).call("POST", f"{_PATH}/{endpoint_id}", {"enabled": False})
    show(answer, ("id", "enabled"), as_json)


@app.command()
def rotate(
    endpoint_id: EndpointId,
    keep_old: Annotated[bool, typer.Option(help="Sign with the old one too for a day.")] = True,
    server: Url = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Give an endpoint a new signing secret and show it, this once."""
    body = {"keep_old_secret_active_for_24_hours": keep_old}
    answer = ApiClient(server, key).call("POST", f"{_PATH}/{endpoint_id}/rotate_secret", body)
    show(answer, ("id", "signing_secret"), as_json)


@app.command("test")
def try_out(
    endpoint_id: EndpointId,
    event: Annotated[str, typer.Option(help="Which event to make up.")] = "response.completed",
    server: Url = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Send a made-up event now and show what was answered."""
    answer = ApiClient(server, key).call(
        "POST", f"{_PATH}/{endpoint_id}/test", {"event_type": event}
    )
    show(answer, ("webhook_endpoint_id", "event_type", "status_code"), as_json)


@app.command()
def dead(endpoint_id: EndpointId, server: Url = "", key: Key = "", as_json: Json = False) -> None:
    """List the deliveries that were given up."""
    path = f"{_PATH}/{endpoint_id}/deliveries?status=dead&limit=100"
    show(
        ApiClient(server, key).call("GET", path),
        ("response_id", "event_type", "last_error"),
        as_json,
    )


@app.command()
def replay(
    endpoint_id: EndpointId,
    response: Annotated[list[str] | None, typer.Argument(help="resp_…; else all.")] = None,
    server: Url = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Send again what was given up."""
    body = {"response_ids": response} if response else {}
    answer = ApiClient(server, key).call("POST", f"{_PATH}/{endpoint_id}/replay", body)
    show(answer, ("webhook_endpoint_id", "num_replayed"), as_json)
