"""`antiphon audit`: the audit trail, through the admin API of a running server."""

import re
import time
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from cli.commands.client import ApiClient, Json, Key, Url, fail
from cli.commands.client import show as show_answer

_PATH = "/admin/v1/audit"
_PAGE = 1000
_AGE = re.compile(r"([0-9]{1,6})([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_COLUMNS = ("time", "project_id", "key_id", "address", "action", "object_id", "result", "num_times")


def show(
    since: Annotated[
        str, typer.Option(help="2026-01-31, 2026-01-31T12:00Z, or an age: 30m, 24h, 7d.")
    ] = "24h",
    project: Annotated[str, typer.Option(help="Id of a project; else of all.")] = "",
    server: Url = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Show who did what, the oldest first: the entries of the audit trail since a time."""
    client = ApiClient(server, key)
    query: dict[str, Any] = {"since": _parse_time(since), "limit": _PAGE}
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


def _parse_time(text: str) -> int:
    if age := _AGE.fullmatch(text):
        return max(0, int(time.time()) - int(age[1]) * _UNITS[age[2]])
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        fail(f"--since {text}: it must be a date, a time, or an age such as 24h", code=2)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
