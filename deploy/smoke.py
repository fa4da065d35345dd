"""Runs one background and one streamed response through a running server and checks both.

`python deploy/smoke.py http://127.0.0.1:8000`. Standard library only, so it runs beside any
deployment; knows nothing of the server but its URL, and a key in ANTIPHON_API_KEY if it needs one.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any, NoReturn
from urllib.error import HTTPError
from urllib.request import Request, urlopen

QUESTION = "What is the capital of France? Answer in one short sentence."
DEADLINE_S = 300.0
POLL_S = 0.25
TERMINAL = {"completed", "incomplete", "failed", "cancelled"}

Json = dict[str, Any]


def main() -> None:
    """Exit with status 1 and a sentence on stderr at the first thing that is not as promised."""
    if len(sys.argv) != 2:
        fail("usage: smoke.py URL")
    url = sys.argv[1].rstrip("/")
    model = call(f"{url}/v1/models")["data"][0]["id"]
    request = {"model": model, "input": QUESTION, "temperature": 0}
    check_background(url, request)
    check_stream(url, request)


def check_background(url: str, request: Json) -> None:
    """Create a background response and poll it until it is completed."""
    response = call(f"{url}/v1/responses", {**request, "background": True})
    expect(response["status"] in {"queued", "in_progress"}, "created as", response["status"])
    deadline = time.monotonic() + DEADLINE_S
    while response["status"] not in TERMINAL:
        expect(time.monotonic() < deadline, "not finished in time:", response["status"])
        time.sleep(POLL_S)
        response = call(f"{url}/v1/responses/{response['id']}")
    print("background:", check_completed(response))


def check_stream(url: str, request: Json) -> None:
    """Stream a response: numbers without gaps, deltas that add up to the final text."""
    events = list(stream(f"{url}/v1/responses", {**request, "stream": True}))
    numbers = [event["sequence_number"] for event in events]
    expect(numbers == list(range(len(events))), "sequence numbers:", numbers)
    expect(events[-1]["type"] == "response.completed", "last event:", events[-1]["type"])
    text = check_completed(events[-1]["response"])
    deltas = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    expect("".join(deltas) == text, "deltas:", deltas)
    print(f"stream: {len(events)} events, {len(deltas)} deltas")


def check_completed(response: Json) -> str:
    """Return the text of a completed response that has text and usage."""
    expect(response["status"] == "completed", "ended as", response["status"], response["error"])
    parts = [part for item in response["output"] for part in item.get("content", [])]
    text = "".join(part["text"] for part in parts if part["type"] == "output_text")
    expect(bool(text.strip()), "no text in", response["output"])
    usage = response["usage"]
    expect(usage["input_tokens"] > 0 and usage["output_tokens"] > 0, "usage:", usage)
    return text


def call(url: str, body: Json | None = None) -> Any:
    """GET, or POST where there is a body; returns the JSON answer."""
    with open_url(url, body) as answer:
        return json.load(answer)


def stream(url: str, body: Json) -> Iterator[Json]:
    """Yield the events of a server-sent event stream."""
    with open_url(url, body) as answer:
        for line in answer:
            field, _, value = line.decode().strip().partition(": ")
            if field == "data" and value != "[DONE]":
                yield json.loads(value)


def open_url(url: str, body: Json | None) -> Any:
    """Open a URL; an HTTP error ends the program with the answer's text."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    if key := os.environ.get("ANTIPHON_API_KEY"):
        headers["authorization"] = f"Bearer {key}"
    try:
        return urlopen(Request(url, data, headers), timeout=DEADLINE_S)
    except HTTPError as error:
        fail(f"{error.code} from {url}: {error.read().decode()}")


def expect(condition: bool, *complaint: object) -> None:
    """End the program with the complaint unless the condition holds."""
    if not condition:
        fail(*complaint)


def fail(*complaint: object) -> NoReturn:
    """End the program with status 1."""
    sys.exit("smoke: " + " ".join(map(str, complaint)))


if __name__ == "__main__":
    main()
