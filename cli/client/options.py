"""Options that the commands share which call a server."""

from typing import Annotated

import typer

Url = Annotated[
    str,
    typer.Option(
        "--base-url",
        "--server",
        metavar="URL",
        help="Address of the server; else ANTIPHON_BASE_URL, OPENAI_BASE_URL, this machine's.",
    ),
]
Key = Annotated[
    str,
    typer.Option(
        "--api-key",
        "--key",
        metavar="KEY",
        help="API key, if the server needs one; else ANTIPHON_API_KEY, OPENAI_API_KEY.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs, and nothing else.")]
ResponseId = Annotated[str, typer.Argument(metavar="ID", help="resp_…")]
ResponseIds = Annotated[list[str], typer.Argument(metavar="ID…", help="resp_…")]
Model = Annotated[str, typer.Option(help="A served model; else the server's default.")]
