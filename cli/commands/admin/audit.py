"""`antiphon audit`: the audit trail, through the admin API of a running server."""

from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from cli.client.api_client import ApiClient
from cli.client.options import Json, Key, Url
from cli.client.output import show as show_answer
from cli.client.times import FORMS, parse_time

_PATH = "/admin/v1/audit"
_PAGE = 1000
_COLUMNS = ("time", "project_id", "key_id", "address", "action", "object_id", "result", "num_times")


def show(
    since: Annotated[str, typer.Option(help=FORMS)] = "24h",
    project: Annotated[str, typer.Option(help="Id of a project; else of all.")] = "",
    server: Url = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Show who did what, the oldest first: the entries of the audit trail since a time."""
    client = ApiClient(server, key)
    query: dict[str, Any] = {"since": parse_time(since, "--since"), "limit": _PAGE}
    if project:
        query["project_id"] = project
    entries: list[dict[str, Any]] = []
    while True:
        page = client.call("GET", f"{_PATH}?{urlencode(query)}")
        entries += page["data"]
        if not page["has_more"]:
            break
        query["after"] = page["last_id"]
    for entry in reversed(entries):
        moment = datetime.fromtimestamp(entry["occurred_at"], UTC)
        row = entry if as_json else entry | {"time": f"{moment:%Y-%m-%dT%H:%M:%SZ}"}
        show_answer(row, _COLUMNS, as_json)
