"""`antiphon projects`: projects and their limits, through the admin API of a running server."""

from typing import Annotated, Any

import typer

from cli.commands.client import ApiClient, Json, Key, Url, fail, show

app = typer.Typer(no_args_is_help=True, help="Who shares this server, and how much each may use.")

ProjectId = Annotated[str, typer.Argument(help="Id of a project.")]

_PATH = "/admin/v1/projects"
_LIMITS = "/admin/v1/limits"
_NONE = "none"


@app.command()
def create(  # noqa: PLR0913 - each is an option
    name: Annotated[str, typer.Argument(help="For people to tell it by.")] = "",
    project_id: Annotated[str, typer.Option("--id", help="A slug; else proj_….")] = "",
    model: Annotated[list[str] | None, typer.Option(help="A model it may use; else all.")] = None,
    retention_days: Annotated[
        float | None, typer.Option(help="Days that its responses are kept, if fewer.")
    ] = None,
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
    columns = ("id", "name", "status", "retention_days", "allowed_models")
    show(answer, columns, as_json)


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


def _parse_change(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not separator or not (value == _NONE or (value.isascii() and value.isdecimal())):
        fail(f"--set {text}: it must be name=number, or name={_NONE}", code=2)
    return name, None if value == _NONE else int(value)
