"""`antiphon submit`: a response, or a file with many."""

from typing import Annotated, Any

import typer

from cli.client.bodies import parse_pairs, read_batch, read_body, with_options
from cli.client.options import Json, Key, Model, Url
from cli.client.output import WRONG_USE, fail, format_cell, note, print_json

Pairs = Annotated[
    list[str] | None, typer.Option("--metadata", "--meta", metavar="K=V", help="Repeatable.")
]


def submit(  # noqa: PLR0913 - each is an option
    text: Annotated[str | None, typer.Argument(help="What to answer; `-` reads stdin.")] = None,
    file: Annotated[
        str | None,
        typer.Option("-f", "--file", help="Body of the request, JSON; .jsonl has one a line."),
    ] = None,
    background: Annotated[bool, typer.Option("--background", help="Print the id at once.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Print the answer when it is whole.")
    ] = False,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="The file has a request a line.")] = False,
    concurrency: Annotated[
        int, typer.Option(min=1, max=256, help="Requests of a .jsonl at a time.")
    ] = 32,
    model: Model = "",
    metadata: Pairs = None,
    server: Url = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Submit a request: as text, a file, or a .jsonl file with one request a line.

    The answer is printed as it is generated. The server works on it in the background: it goes on
    if the connection or this command ends.
    """
    changes: dict[str, Any] = {"model": model, "metadata": parse_pairs(metadata, "--metadata")}
    if jsonl or (file or "").endswith(".jsonl"):
        if text is not None or file is None:
            fail("a .jsonl file is given by -f, without a text", code=WRONG_USE)
        from cli.commands.responses.batch import submit_batch

        lines = read_batch(file)
        bodies = [(line, with_options(line.body, **changes)) for line in lines]
        submit_batch(bodies, server, key, waits=wait or not background, concurrency=concurrency)
        return
    body = with_options(read_body(text, file), **changes)
    from cli.client.official import api

    with api(server, key) as connected:
        submit_one(connected, body, background=background, wait=wait, as_json=as_json)


def submit_one(
    api: Any, body: dict[str, Any], *, background: bool, wait: bool, as_json: bool
) -> None:
    """Submit a request, and print its id, its whole answer, or the answer as it is generated."""
    from cli.commands.responses.follow import follow, wait_for

    response = api.create(body)
    if background and not wait:
        if as_json:
            print_json(response)
        else:
            typer.echo(format_cell(response["id"]))
            note(f"./antiphon wait {response['id']}")
    elif wait or as_json:
        wait_for(api, [response["id"]], as_json=as_json)
    else:
        follow(api, response["id"])
