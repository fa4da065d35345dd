"""Responses as people read them: the text on stdout, what is said about it on stderr."""

import sys
from typing import Any

import typer

from cli.client.bodies import iter_text
from cli.client.clean_text import clean, clean_line
from cli.client.output import note, print_json
from cli.client.times import format_age

_CALLS = {"function_call": "arguments", "custom_tool_call": "input", "mcp_call": "arguments"}
_BAD_ENDS = ("failed", "cancelled")


def has_failed(response: dict[str, Any]) -> bool:
    """Return True if a response has ended without an answer."""
    return response["status"] in _BAD_ENDS


def print_response(response: dict[str, Any], as_json: bool) -> None:
    """Print a response: its JSON, or its text and, on a terminal, how it ended."""
    if as_json:
        print_json(response)
        return
    if text := text_of(response):
        typer.echo(text.rstrip("\n"))
    print_ending(response)


def print_ending(response: dict[str, Any]) -> None:
    """Say how a response has ended; an error is said on stderr also where nobody may read it."""
    if has_failed(response):
        reason = (response.get("error") or {}).get("message", "")
        line = clean_line(f"{response['id']} {response['status']}: {reason}".rstrip(": "))
        typer.echo(line, err=True)
        return
    note(summary_of(response))


def text_of(response: dict[str, Any]) -> str:
    """Return the text of a response, and a line for each call, safe to show."""
    parts = [clean("".join(iter_text(response["output"])))]
    parts += [describe_call(item) for item in response["output"] if item.get("type") in _CALLS]
    return "\n".join(filter(None, parts))


def describe_call(item: dict[str, Any]) -> str:
    """Return a line that says which tool the model calls, with what."""
    arguments = item.get(_CALLS[item["type"]], "")
    return clean_line(f"[calls {item.get('name')}({arguments})]")


def summary_of(response: dict[str, Any]) -> str:
    """Return one line about a response."""
    parts = [response["id"], response["status"], response["model"]]
    if details := response.get("incomplete_details"):
        parts[1] += f" ({details.get('reason')})"
    if usage := response.get("usage"):
        parts.append(f"{usage['input_tokens']} tokens in, {usage['output_tokens']} out")
    if response.get("completed_at"):
        parts.append(f"{response['completed_at'] - response['created_at']} s")
    if place := describe_place(response):
        parts.append(place)
    return " · ".join(map(str, parts))


def describe_place(response: dict[str, Any]) -> str:
    """Return where a queued response is in the queue; nothing if the server does not say so."""
    place = (response.get("antiphon") or {}).get("queue") or {}
    position, eta_s = place.get("position"), place.get("eta_seconds")
    parts = [] if position is None else [f"number {position} in the queue"]
    if eta_s is not None:
        parts.append(f"starts in about {format_age(eta_s)}")
    return ", ".join(parts)


def first_words(response: dict[str, Any], width: int = 50) -> str:
    """Return the beginning of the text of a response, on one line."""
    line = clean_line(" ".join(iter_text(response["output"])))
    return line if len(line) <= width else line[: width - 1] + "…"


def end_line() -> None:
    """End the line of a text that was written in pieces."""
    sys.stdout.write("\n")
    sys.stdout.flush()
