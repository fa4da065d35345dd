"""`antiphon top`: what waits, what runs and who works, again and again."""

import re
import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from cli.client.api_client import ApiClient, NoAnswerError
from cli.client.options import Json, Key, Url
from cli.client.output import fail, format_cell, print_json
from cli.client.times import format_age

_QUEUES, _WORKERS, _METRICS = "/v1/queue", "/admin/v1/workers", "/metrics"
_RUNNING = "/v1/responses?status=in_progress,queued&limit=10"
_TOKENS = re.compile(r'^antiphon_tokens_total\{[^}]*dir="output"[^}]*\} (\S+)', re.MULTILINE)
_SAMPLE_S = 1.0
"""Seconds over which tokens are counted where there is one look."""


def top(
    every: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Look once.")] = False,
    server: Url = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Show the queue, what runs, and the workers if the key may see them; `q` ends it."""
    view = _View(ApiClient(server, key))
    if once or as_json or not sys.stdout.isatty():
        if view.look()["workers"] is not None:
            time.sleep(_SAMPLE_S)
        seen = view.look()
        if as_json:
            print_json(seen)
            return
        for line in _lines(seen):
            typer.echo(line)
    else:
        _show_live(view, every)


class _View:
    """What a key may see of a server, look after look."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._num_tokens: float | None = None
        self._counted_at = 0.0

    def look(self) -> dict[str, Any]:
        """Return what there is now; `workers` and `tokens_per_second` are null if not for the key.

        Tokens are counted since the last look.
        """
        try:
            workers = self._client.send("GET", _WORKERS)
            metrics = self._client.send("GET", _METRICS)
        except NoAnswerError as error:
            fail(str(error))
        counts = _TOKENS.findall(metrics.text) if metrics.is_success else None
        return {
            "queues": self._client.call("GET", _QUEUES)["data"],
            "responses": self._client.call("GET", _RUNNING)["data"],
            "workers": workers.json()["data"] if workers.is_success else None,
            "tokens_per_second": None if counts is None else self._rate(sum(map(float, counts))),
        }

    def _rate(self, num_tokens: float) -> float | None:
        """Return the tokens per second since the last call; None at the first."""
        before, began_at = self._num_tokens, self._counted_at
        self._num_tokens, self._counted_at = num_tokens, time.monotonic()
        if before is None or num_tokens < before:
            return None
        return round((num_tokens - before) / (self._counted_at - began_at), 1)


def _lines(seen: dict[str, Any]) -> Iterator[str]:
    yield _row("MODEL", "QUEUED", "RUNNING", "OLDEST")
    for queue in seen["queues"]:
        oldest = queue["oldest_queued_seconds"]
        age = "-" if oldest is None else format_age(oldest)
        yield _row(queue["model"], queue["num_queued"], queue["num_in_progress"], age)
    if not seen["queues"]:
        yield "nothing waits or runs"
    if seen["tokens_per_second"] is not None:
        yield f"{seen['tokens_per_second']} tokens/s of all projects"
    if seen["workers"] is not None:
        yield ""
        yield _row("WORKER", "RUNNING", "STATE", "MODEL")
        for worker in seen["workers"]:
            state = "alive" if worker["is_alive"] else "lost"
            yield _row(worker["name"], worker["num_running"], state, worker["model"])
    if seen["responses"]:
        yield ""
        yield _row("RESPONSE", "STATUS", "AGE")
        for response in seen["responses"]:
            age = format_age(time.time() - response["created_at"])
            yield _row(response["id"], response["status"], age)


def _row(first: Any, *cells: Any) -> str:
    return f"{format_cell(first):<38}" + "".join(f"{format_cell(cell):<12}" for cell in cells)


def _show_live(view: _View, every_s: float) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with _keys() as has_quit, Live(console=Console(), screen=True, auto_refresh=False) as live:
        while True:
            lines = [f"{time.strftime('%H:%M:%S')}  q quits", "", *_lines(view.look())]
            live.update(Text("\n".join(lines)), refresh=True)
            if has_quit(every_s):
                return


@contextmanager
def _keys() -> Iterator[Any]:
    """Provide a function that waits some seconds, and returns True if `q` is typed meanwhile."""
    import termios
    import tty

    def has_quit(seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([sys.stdin], [], [], left)[0]:
                typed = sys.stdin.read(1)
                if typed in ("q", "Q", ""):
                    return True
        return False

    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield has_quit
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
