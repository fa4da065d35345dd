"""Following responses to their end: `antiphon wait` and `antiphon tail`."""

import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from cli.client.clean_text import TextCleaner, clean_line
from cli.client.options import Json, Key, ResponseId, ResponseIds, Url
from cli.client.output import FAILED, fail, note, print_json, write
from cli.client.rendering import (
    describe_call,
    describe_place,
    end_line,
    has_failed,
    print_ending,
    print_response,
)

_NOTE_S = 5.0
"""Seconds between two notes about one response that waits."""


def wait(
    response_ids: ResponseIds,
    timeout: Annotated[float | None, typer.Option(min=0, help="Seconds to wait at most.")] = None,
    server: Url = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Wait for the end of responses, and print each; exit with 1 if one has failed."""
    from cli.client.official import api

    with api(server, key) as connected:
        wait_for(connected, response_ids, timeout_s=timeout, as_json=as_json)


def tail(  # noqa: PLR0913 - each is an option
    response_id: ResponseId,
    start: Annotated[
        int, typer.Option("--from", min=0, metavar="N", help="Number of the first event.")
    ] = 0,
    events: Annotated[bool, typer.Option("--events", help="A line per event.")] = False,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds to try a server again that does not answer.")
    ] = 60.0,
    server: Url = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Print a response as it is generated, from its first event or a later one, to its end.

    A connection that is lost is opened anew, after the last event that has arrived.
    """
    from cli.client.official import api

    with api(server, key) as connected:
        follow(
            connected,
            response_id,
            start=start,
            form="json" if as_json else "events" if events else "text",
            patience_s=patience,
        )


def follow(
    api: Any, response_id: str, *, start: int = 0, form: str = "text", patience_s: float = 60.0
) -> dict[str, Any]:
    """Print the events of a response, its text or its JSON; return it when it has ended.

    Exits with code 1 if it has failed.
    """
    from cli.client.events import EventStream

    stream = EventStream(
        api,
        response_id,
        start=start,
        patience_s=patience_s,
        on_drop=lambda reason: note(f"connection lost ({reason}), trying again"),
    )
    printer = _PRINTERS[form]()
    ended: dict[str, Any] | None = None
    try:
        for event in stream:
            printer.print(event)
            ended = event.get("response", ended)
    except KeyboardInterrupt:
        printer.end()
        note(f"it goes on: ./antiphon tail {response_id}, or ./antiphon cancel {response_id}")
        raise
    finally:
        printer.end()
    # Where the events begin after the end of the response, there are none.
    response: dict[str, Any] = ended or api.retrieve(response_id)
    if form != "json":
        print_ending(response)
    if has_failed(response):
        raise typer.Exit(FAILED)
    return response


def wait_for(
    api: Any, ids: Sequence[str], *, timeout_s: float | None = None, as_json: bool = False
) -> None:
    """Print responses as they end; exit with code 1 if one has failed or cannot be read."""
    from cli.client.waiting import WaitTimeoutError, wait_for_end

    failed = False
    try:
        for response in wait_for_end(api, ids, timeout_s, PlaceNotes().tell):
            if isinstance(response, Exception):
                typer.echo(str(response), err=True)
                failed = True
                continue
            print_response(response, as_json)
            failed |= has_failed(response)
    except WaitTimeoutError as error:
        fail(f"not ended after {timeout_s:g} s: {' '.join(error.ids)}")
    if failed:
        raise typer.Exit(FAILED)


class PlaceNotes:
    """Notes for the person at the terminal of where queued responses are, some seconds apart."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[float, str]] = {}

    def tell(self, response: dict[str, Any]) -> None:
        """Say where a response is in the queue, if that has changed for some time."""
        place, response_id = describe_place(response), response["id"]
        told_at, told = self._told.get(response_id, (float("-inf"), ""))
        now = time.monotonic()
        if place and place != told and now - told_at >= _NOTE_S:
            self._told[response_id] = now, place
            note(f"{response_id}: {place}")


class _TextPrinter:
    """Printer of the text that events add, without what a terminal would interpret."""

    def __init__(self) -> None:
        self._cleaner = TextCleaner()
        self._is_within_line = False

    def print(self, event: dict[str, Any]) -> None:
        from cli.client.events import text_of

        if text := self._cleaner.feed(text_of(event)):
            write(text)
            self._is_within_line = not text.endswith("\n")
        if event["type"] == "response.output_item.done" and event["item"]["type"] in (
            "function_call",
            "custom_tool_call",
            "mcp_call",
        ):
            self.end()
            typer.echo(describe_call(event["item"]))

    def end(self) -> None:
        if self._is_within_line:
            end_line()
            self._is_within_line = False


class _EventPrinter:
    """Printer of a line per event: its number, its type and what it adds."""

    def print(self, event: dict[str, Any]) -> None:
        delta = event.get("delta", "")
        line = f"{event['sequence_number']}\t{event['type']}"
        typer.echo(f"{line}\t{clean_line(str(delta))}" if delta else line)

    def end(self) -> None:
        pass


class _JsonPrinter(_EventPrinter):
    """Printer of the JSON of every event."""

    def print(self, event: dict[str, Any]) -> None:
        print_json(event)


_PRINTERS: dict[str, type[_TextPrinter] | type[_EventPrinter]] = {
    "text": _TextPrinter,
    "events": _EventPrinter,
    "json": _JsonPrinter,
}
