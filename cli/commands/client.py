"""Client of a running server's API for the commands, and the form of what they print."""

import json
from typing import Annotated, Any, NoReturn

import typer

from cli.supervisor.readiness import base_url
from models.settings import SettingsError, load_settings

Url = Annotated[
    str, typer.Option("--server", envvar="ANTIPHON_URL", help="http://host:port of the API.")
]
Key = Annotated[
    str, typer.Option("--key", envvar="ANTIPHON_API_KEY", help="API key, if the server needs one.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the API's answer.")]

TIMEOUT_S = 30.0
"""Timeout of a request to the API, in seconds."""


class NoAnswerError(Exception):
    """Raised if no server answers at the address."""


class ApiClient:
    """Requests to one server with one key."""

    def __init__(self, server: str, key: str) -> None:
        """Create a client; by default of the server that this machine's settings describe."""
        self._server = server
        self._headers = {"authorization": f"Bearer {key}"} if key else {}

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Return the parsed answer; exit with code 1 on an error or no answer.

        Exits with code 2 if the settings are invalid.
        """
        try:
            return self.request(method, path, body)
        except NoAnswerError as error:
            fail(str(error), code=1)

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Do the same, but raise `NoAnswerError` if no server answers."""
        import httpx2

        try:
            url = (self._server or base_url(load_settings())).rstrip("/") + path
            answer = httpx2.request(
                method, url, json=body, headers=self._headers, timeout=TIMEOUT_S
            )
        except SettingsError as error:
            fail(str(error), code=2)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise NoAnswerError(f"no answer from {self._server or 'the server'}: {error}") from None
        if answer.is_error:
            fail(_message_of(answer), code=1)
        return answer.json()


def fail(message: str, *, code: int) -> NoReturn:
    """Print a message to stderr and exit."""
    typer.echo(message, err=True)
    raise typer.Exit(code)


def show(answer: Any, columns: tuple[str, ...], as_json: bool) -> None:
    """Print one line of tab-separated fields per object, or the JSON as received."""
    if as_json:
        typer.echo(json.dumps(answer))
        return
    for row in answer["data"] if answer.get("object") == "list" else [answer]:
        typer.echo("\t".join(_format_cell(row[column]) for column in columns))


def _message_of(answer: Any) -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        # It is another program that answers there.
        return f"the server answered {answer.status_code}"


def _format_cell(value: Any) -> str:
    if value is None:
        return "-"
    text = ",".join(value) if isinstance(value, list) else str(value)
    # Names and errors are untrusted: strip control characters that a terminal would interpret.
    return "".join(char if char.isprintable() else "?" for char in text)
