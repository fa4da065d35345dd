"""`antiphon chat`: a conversation, turn by turn, over `previous_response_id`."""

import sys
from typing import Annotated, Any

import typer

from cli.client.options import Json, Key, Model, Url
from cli.client.output import is_interactive, note, print_json

_PROMPT = "> "
_HELP = "An empty line is ignored; /new begins anew, /id shows the last response, /quit ends."


def chat(
    model: Model = "",
    system: Annotated[str, typer.Option(help="Instructions for every turn.")] = "",
    after: Annotated[str, typer.Option(metavar="ID", help="Go on from this response.")] = "",
    server: Url = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Talk to a model; each line is a turn. Ctrl-C stops an answer, Ctrl-D ends the chat."""
    from cli.client.official import RequestFailedError, api

    with api(server, key) as connected:
        turns = _Turns(connected, {"model": model, "instructions": system}, after, as_json)
        note(_HELP)
        while (line := _read_line()) is not None:
            match line.strip():
                case "":
                    continue
                case "/quit" | "/exit":
                    return
                case "/new":
                    turns.previous_id = ""
                case "/id":
                    typer.echo(turns.previous_id or "-")
                case text:
                    try:
                        turns.ask(text)
                    except RequestFailedError as error:
                        if not is_interactive():
                            raise
                        typer.echo(str(error), err=True)


class _Turns:
    """Turns of one chat."""

    def __init__(self, api: Any, fields: dict[str, str], previous_id: str, as_json: bool) -> None:
        self._api = api
        self._fields = {name: value for name, value in fields.items() if value}
        self._as_json = as_json
        self.previous_id = previous_id
        """The response that the next turn continues; empty before the first."""

    def ask(self, text: str) -> None:
        """Print the answer to a turn; it is the context of the next one unless it has failed."""
        from cli.commands.responses.follow import follow

        body: dict[str, Any] = {"input": text, "background": True, **self._fields}
        if self.previous_id:
            body["previous_response_id"] = self.previous_id
        response = self._api.create(body)
        try:
            if self._as_json:
                self._print_when_ended(response["id"])
            else:
                follow(self._api, response["id"])
        except KeyboardInterrupt:
            self._api.cancel(response["id"])
            if not is_interactive():
                raise
            note("stopped")
            return
        except typer.Exit:
            if not is_interactive():
                raise
            return
        self.previous_id = response["id"]

    def _print_when_ended(self, response_id: str) -> None:
        from cli.client.waiting import wait_for_end

        [ended] = wait_for_end(self._api, [response_id])
        if isinstance(ended, Exception):
            raise ended
        print_json(ended)


def _read_line() -> str | None:
    """Return the next line; None at the end of the input."""
    if is_interactive():
        import readline  # noqa: F401 - gives `input` its line editing and history

        try:
            return input(_PROMPT)
        except EOFError:
            typer.echo()
            return None
    return sys.stdin.readline() or None
