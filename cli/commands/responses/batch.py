"""Submission of many requests from a file, several at a time."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from typing import Any

import typer

from cli.client.bodies import BatchLine, iter_text
from cli.client.output import FAILED, INTERRUPTED, note, print_json
from cli.client.rendering import has_failed

_MAX_RETRIES = 8
"""A batch may fill a queue: it then goes on as that empties."""

Requests = Sequence[tuple[BatchLine, dict[str, Any]]]


def submit_batch(
    requests: Requests, server: str, key: str, *, waits: bool, concurrency: int
) -> None:
    """Submit all requests and print a line of JSON for each; exit with code 1 if one has failed.

    With `waits` the lines come as the responses end, otherwise as they are accepted.
    """
    from cli.client.official import Api

    api = Api(server, key, max_retries=_MAX_RETRIES)
    submit_one = partial(_submit_one, api, waits=waits)
    num_failed = 0
    pool = ThreadPoolExecutor(concurrency)
    try:
        with _progress(len(requests)) as print_line:
            futures = [pool.submit(submit_one, line, body) for line, body in requests]
            for future in as_completed(futures):
                result = future.result()
                num_failed += result["error"] is not None
                print_line(result)
    except KeyboardInterrupt:
        note("what was submitted goes on: ./antiphon ls")
        sys.stdout.flush()
        # An ordinary exit would wait for the threads, and so for responses.
        os._exit(INTERRUPTED)
    pool.shutdown()
    api.close()
    note(f"{len(requests) - num_failed} of {len(requests)} are done")
    if num_failed:
        raise typer.Exit(FAILED)


def _submit_one(api: Any, line: BatchLine, body: dict[str, Any], *, waits: bool) -> dict[str, Any]:
    """Return the line of one request: its response, or its error."""
    from cli.client.official import RequestFailedError
    from cli.client.waiting import wait_for_end

    result: dict[str, Any] = {"line": line.number, "custom_id": line.custom_id}
    try:
        response = api.create(body)
        if waits:
            [response] = wait_for_end(api, [response["id"]])
    except RequestFailedError as error:
        response = error
    if isinstance(response, RequestFailedError):
        return result | {"id": None, "status": None, "error": {"message": str(response)}}
    return result | {
        "id": response["id"],
        "status": response["status"],
        "text": "".join(iter_text(response["output"])),
        "error": (response["error"] or {"message": "cancelled"}) if has_failed(response) else None,
    }


@contextmanager
def _progress(total: int) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Provide a function that prints a line, below which a bar shows how many there are yet.

    Without a terminal there is no bar.
    """
    if not (sys.stdout.isatty() or sys.stderr.isatty()):
        yield print_json
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=not sys.stdout.isatty())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=total)

        def print_line(result: dict[str, Any]) -> None:
            if console.stderr:
                print_json(result)
            else:
                # The lines move up above the bar.
                console.print(json.dumps(result), markup=False, highlight=False, soft_wrap=True)
            progress.advance(task)

        yield print_line
