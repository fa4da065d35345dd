"""`antiphon projects`: projects and their limits, through the admin API of a running server."""

from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import quote

import typer

from cli.client.api_client import ApiClient
from cli.client.options import Json, Key, Url
from cli.client.output import fail, show

app = typer.Typer(no_args_is_help=True, help="Who shares this server, and how much each may use.")

Weight = Annotated[
    float | None,
    typer.Option(min=0.01, max=100, help="Its share of the tokens relative to others; 1 at first."),
]
ProjectId = Annotated[str, typer.Argument(help="Id of a project.")]


class Permission(StrEnum):
    """Permission of a project; a test compares them with those of the server."""

    WEB_SEARCH = "web_search"
    MCP = "mcp"
    IMAGE_URLS = "image_urls"


_PATH = "/admin/v1/projects"
_LIMITS = "/admin/v1/limits"
_NONE = "none"
_SHOWN = ("id", "name", "status", "weight", "retention_days", "allowed_models")


@app.command()
def create(  # noqa: PLR0913 - each is an option
    name: Annotated[str, typer.Argument(help="For people to tell it by.")] = "",
    project_id: Annotated[str, typer.Option("--id", help="A slug; else proj_….")] = "",
    model: Annotated[list[str] | None, typer.Option(help="A model it may use; else all.")] = None,
    retention_days: Annotated[
        float | None, typer.Option(help="Days that its responses are kept, if fewer.")
    ] = None,
    weight: Weight = None,
    server: Url = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Create a project."""
    fields = {
        "id": project_id or None,
        "name": name,
        "allowed_models": model or None,
        "retention_days": retention_days,
        "weight": weight,
    }
    body = {field: value for field, value in fields.items() if value is not None}
    show(ApiClient(server, key).call("POST", _PATH, body), ("id", "name"), as_json)


@app.command("list")
def list_projects(server: Url = "", key: Key = "", as_json: Json = False) -> None:
    """List the projects."""
    answer = ApiClient(server, key).call("GET", _PATH)
    show(answer, ("id", "name", "status"), as_json)


@app.command("show")
def show_project(
    project_id: ProjectId, server: Url = "", key: Key = "", as_json: Json = False
) -> None:
    """Show a project: `deleting` until all of it is gone, then `deleted`."""
    answer = ApiClient(server, key).call("GET", f"{_PATH}/{project_id}")
    show(answer, _SHOWN, as_json)


@app.command()
def update(  # noqa: PLR0913 - each is an option
    project: Annotated[str, typer.Argument(help="Id of a project, or the name of only one.")],
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    weight: Weight = None,
    max_running: Annotated[
        str | None, typer.Option(help="Responses that are generated at a time, or none.")
    ] = None,
    retention_days: Annotated[
        str | None, typer.Option(help="Days that its responses are kept, or none.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="A model it may use, in place of those; none for all.")
    ] = None,
    grant: Annotated[list[Permission] | None, typer.Option(help="A permission to give.")] = None,
    deny: Annotated[list[Permission] | None, typer.Option(help="One to take.")] = None,
    server: Url = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Change a project; `none` stands for the default."""
    permissions = dict.fromkeys(grant or (), True) | dict.fromkeys(deny or (), False)
    changes: dict[str, Any] = {"name": name, "weight": weight, "permissions": permissions or None}
    changes = {field: value for field, value in changes.items() if value is not None}
    if max_running is not None:
        changes["limits"] = {"max_running": _parse_number("--max-running", max_running)}
    if retention_days is not None:
        changes["retention_days"] = _parse_number("--retention-days", retention_days)
    if model:
        changes["allowed_models"] = None if model == [_NONE] else model
    if not changes:
        fail("Nothing to change: name what is to be different, see --help.", code=2)
    client = ApiClient(server, key)
    answer = client.call("POST", f"{_PATH}/{_find_id(client, project)}", changes)
    show(answer, _SHOWN, as_json)


@app.command()
def limits(
    project_id: ProjectId,
    change: Annotated[
        list[str] | None, typer.Option("--set", help="max_queued=100, or max_queued=none.")
    ] = None,
    server: Url = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Show the limits of a project, or change some; `none` leaves one to the server's."""
    client, path = ApiClient(server, key), f"{_LIMITS}/{project_id}"
    changes = dict(map(_parse_change, change or ()))
    answer = client.call("POST", path, changes) if changes else client.call("GET", path)
    if as_json:
        show(answer, (), as_json)
        return
    for name in sorted(answer.keys() - {"object", "project_id"}):
        show({"name": name, "value": answer[name]}, ("name", "value"), as_json)


@app.command()
def delete(project_id: ProjectId, server: Url = "", key: Key = "", as_json: Json = False) -> None:
    """Stop the keys of a project, and delete all of it in the background."""
    answer = ApiClient(server, key).call("DELETE", f"{_PATH}/{project_id}")
    show(answer, ("id", "status"), as_json)


def _find_id(client: ApiClient, id_or_name: str) -> str:
    projects = client.call("GET", _PATH)["data"]
    if any(project["id"] == id_or_name for project in projects):
        return id_or_name
    named = [str(project["id"]) for project in projects if project["name"] == id_or_name]
    if len(named) > 1:
        fail(f"Several projects have the name '{id_or_name}': {', '.join(named)}.", code=1)
    # The API says that there is none.
    return named[0] if named else quote(id_or_name, safe="")


def _parse_number(option: str, value: str) -> float | None:
    if value == _NONE:
        return None
    if not (value.isascii() and value.replace(".", "", 1).isdecimal()):
        fail(f"{option} {value}: it must be a number, or {_NONE}", code=2)
    number = float(value)
    return int(number) if number.is_integer() else number


def _parse_change(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not separator or not (value == _NONE or (value.isascii() and value.isdecimal())):
        fail(f"--set {text}: it must be name=number, or name={_NONE}", code=2)
    return name, None if value == _NONE else int(value)
