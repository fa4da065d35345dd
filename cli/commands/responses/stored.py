"""Commands on stored responses: `antiphon ls`, `show`, `cancel`, `retry` and `rm`."""

import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from cli.client.bodies import parse_pairs
from cli.client.options import Json, Key, ResponseId, ResponseIds, Url
from cli.client.output import FAILED, format_cell, note, print_json, print_table
from cli.client.rendering import first_words, print_response
from cli.client.times import FORMS, format_age, parse_time
from models.responses.status import ResponseStatus

_PAGE = 100
_COLUMNS = ("id", "status", "age", "model", "tokens", "text")


def list_responses(  # noqa: PLR0913 - each is an option
    status: Annotated[
        list[ResponseStatus] | None, typer.Option(help="In this status; repeatable.")
    ] = None,
    since: Annotated[str, typer.Option(help=f"Created then or later: {FORMS}")] = "",
    until: Annotated[str, typer.Option(help="Created before.")] = "",
    model: Annotated[str, typer.Option(help="Of this model.")] = "",
    meta: Annotated[
        list[str] | None, typer.Option(metavar="K=V", help="With this metadata; repeatable.")
    ] = None,
    prefix: Annotated[str, typer.Option("--id", help="Beginning of the id.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    server: Url = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """List stored responses, newest first."""
    query: dict[str, Any] = {
        "status": ",".join(status or ()) or None,
        "since": parse_time(since, "--since") if since else None,
        "until": parse_time(until, "--until") if until else None,
        "model": model or None,
        "id_prefix": prefix or None,
    }
    query |= {f"metadata[{name}]": value for name, value in parse_pairs(meta, "--meta").items()}
    asked = {name: value for name, value in query.items() if value is not None}
    from cli.client.official import api

    with api(server, key) as connected:
        found, has_more = _read_pages(connected, asked, limit)
    if as_json:
        print_json({"object": "list", "data": found, "has_more": has_more})
        return
    print_table(_COLUMNS, [_row(response) for response in found])
    if has_more:
        note(f"there are more: --limit {2 * limit}")


def _read_pages(api: Any, query: dict[str, Any], limit: int) -> tuple[list[dict[str, Any]], bool]:
    found: list[dict[str, Any]] = []
    has_more = True
    while has_more and len(found) < limit:
        after = {"after": found[-1]["id"]} if found else {}
        page = api.get("/responses", query | after | {"limit": min(_PAGE, limit - len(found))})
        found += page["data"]
        has_more = page["has_more"]
    return found, has_more


def _row(response: dict[str, Any]) -> tuple[Any, ...]:
    age = format_age(time.time() - response["created_at"])
    tokens = (response["usage"] or {}).get("output_tokens")
    words = first_words(response)
    return response["id"], response["status"], age, response["model"], tokens, words


def show(response_id: ResponseId, server: Url = "", key: Key = "", as_json: Json = False) -> None:
    """Show a response as it is now."""
    from cli.client.official import api

    with api(server, key) as connected:
        print_response(connected.retrieve(response_id), as_json)


def cancel(
    response_ids: ResponseIds, server: Url = "", key: Key = "", as_json: Json = False
) -> None:
    """Cancel responses; those that have ended stay as they are."""
    from cli.client.official import api

    with api(server, key) as connected:
        _for_each(response_ids, connected.cancel, "status", as_json)


def remove(
    response_ids: ResponseIds, server: Url = "", key: Key = "", as_json: Json = False
) -> None:
    """Delete responses with all that belongs to them; stop those that run."""
    from cli.client.official import api

    with api(server, key) as connected:
        _for_each(response_ids, connected.delete, "deleted", as_json)


def _for_each(ids: Sequence[str], do: Callable[[str], Any], column: str, as_json: bool) -> None:
    """Do something to each response; exit with code 1 if it was refused for one of them."""
    from cli.client.official import RequestFailedError

    has_failed = False
    for response_id in ids:
        try:
            answer = do(response_id)
        except RequestFailedError as error:
            typer.echo(str(error), err=True)
            has_failed = True
            continue
        if as_json:
            print_json(answer)
        else:
            typer.echo(f"{format_cell(answer['id'])}\t{format_cell(answer[column])}")
    if has_failed:
        raise typer.Exit(FAILED)


def retry(
    response_id: ResponseId,
    background: Annotated[bool, typer.Option("--background", help="Print the id at once.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Print the answer when it is whole.")
    ] = False,
    server: Url = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Submit the same request anew, as a new response."""
    from cli.client.official import api, path_of
    from cli.commands.responses.submit import submit_one

    with api(server, key) as connected:
        body = connected.get(f"{path_of(response_id)}/request")
        body["background"] = True
        submit_one(connected, body, background=background, wait=wait, as_json=as_json)
