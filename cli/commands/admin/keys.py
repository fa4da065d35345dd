"""`antiphon keys`: API keys, through the admin API, or the database where no server answers."""

from typing import Annotated, Any

import typer

from cli.client.api_client import ApiClient, NoAnswerError
from cli.client.options import Json, Key, Url
from cli.client.output import fail, show
from models.access.scopes import Scope

app = typer.Typer(no_args_is_help=True, help="Keys that clients send to this server.")

KeyId = Annotated[str, typer.Argument(help="Id of a key: the ten characters after sk-antiphon-.")]
Days = Annotated[float | None, typer.Option(help="Days until the new key expires.")]

_PATH = "/admin/v1/keys"
_NEW = ("id", "project_id", "key")


@app.command()
def create(  # noqa: PLR0913 - each is an option
    name: Annotated[str, typer.Argument(help="For people to tell it by.")] = "",
    project: Annotated[str, typer.Option(help="Id of its project; else `default`.")] = "",
    scope: Annotated[
        list[Scope] | None, typer.Option(help="A right; else those that a client needs.")
    ] = None,
    expires_in_days: Days = None,
    database: Annotated[
        bool, typer.Option("--database", help="Straight in the database: DATABASE_URL.")
    ] = False,
    server: Url = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Create a key and show it, this once. From then on requests need a key."""
    fields = {"name": name, "project_id": project or None, "expires_in_days": expires_in_days}
    body = fields | ({"scopes": [each.value for each in scope]} if scope else {})
    if database:
        show(_create_in_database(body), _NEW, as_json)
        return
    try:
        answer = ApiClient(server, key).request("POST", _PATH, body)
    except NoAnswerError as error:
        # The first key of a server that does not start without one.
        if server:
            fail(str(error), code=1)
        answer = _create_in_database(body, otherwise=str(error))
    show(answer, _NEW, as_json)


@app.command("list")
def list_keys(
    project: Annotated[str, typer.Option(help="Id of a project; else of all.")] = "",
    server: Url = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """List keys, newest first; revoked and expired ones, too."""
    query = f"?project_id={project}" if project else ""
    answer = ApiClient(server, key).call("GET", _PATH + query)
    columns = ("id", "project_id", "name", "scopes", "last_used_at", "expires_at", "revoked_at")
    show(answer, columns, as_json)


@app.command()
def revoke(key_id: KeyId, server: Url = "", key: Key = "", as_json: Json = False) -> None:
    """Revoke a key; what is open with it ends within five seconds."""
    answer = ApiClient(server, key).call("DELETE", f"{_PATH}/{key_id}")
    show(answer, ("id", "revoked_at"), as_json)


@app.command()
def rotate(
    key_id: KeyId,
    grace_hours: Annotated[float, typer.Option(help="Hours that the old key goes on.")] = 24,
    expires_in_days: Days = None,
    server: Url = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Create a key with the rights of another, and show it, this once; the other one expires."""
    body = {"grace_hours": grace_hours, "expires_in_days": expires_in_days}
    answer = ApiClient(server, key).call("POST", f"{_PATH}/{key_id}/rotate", body)
    show(answer, _NEW, as_json)


def _create_in_database(body: dict[str, Any], *, otherwise: str = "") -> Any:
    from cli.commands.admin.database_keys import CannotCreateError, create_key

    try:
        return create_key(body)
    except CannotCreateError as error:
        fail("\n".join(filter(None, [otherwise, str(error)])), code=error.exit_code)
