"""Invariants of the content of responses: I4, I5, I7, I9."""

from collections.abc import Iterator

import orjson

from tests.chaos.audit import Row
from tests.chaos.history import History
from tests.chaos.journal import DELTA, TERMINAL_EVENTS, Received, Record


def numbers_are_contiguous(history: History) -> Iterator[str]:
    """Yield connections and archives whose sequence numbers have a gap or a repeat.

    A connection must begin at the number that it requested.
    """
    for record in history.journal:
        following = 0
        for connection in record.connections:
            numbers = [event.number for event in connection.events]
            if numbers != list(range(connection.start, connection.start + len(numbers))):
                yield f"{_about(record)} from {connection.start}: {numbers}"
            if connection.start > following:
                yield f"{_about(record)} was taken up at {connection.start} after {following - 1}"
            following = max([following, *(number + 1 for number in numbers)])
    for row in history.kept.rows.values():
        if row.events is None:
            continue
        numbers = [orjson.loads(data)["sequence_number"] for data in row.events]
        if numbers != list(range(len(numbers))):
            yield f"archive of {row.response_id}: {numbers}"


def deltas_add_up(history: History) -> Iterator[str]:
    """Yield streams that differ from the archive in any byte, or from the stored text."""
    for row in history.kept.rows.values():
        if row.store and row.events is not None:
            yield from _unlike_its_archive(row)
    for record in history.journal:
        if not history.text_is_lost(record):
            yield from _unlike_itself(record)
    for record, row in history.stored():
        if history.text_is_lost(record):
            continue
        for event in record.events:
            if row.events is None or event.number >= len(row.events):
                yield f"{_about(record)}: event {event.number} is not archived"
            elif row.events[event.number] != event.data:
                yield f"{_about(record)}: event {event.number} was streamed otherwise"


def _unlike_its_archive(row: Row) -> Iterator[str]:
    assert row.events is not None
    events = [orjson.loads(data) for data in row.events]
    text = "".join(event["delta"] for event in events if event["type"] == DELTA)
    # The output of a failed response excludes the item that was still in progress.
    if row.status != "failed" and text != row.text:
        yield f"{row.response_id}: its deltas are {text!r}, its text {row.text!r}"
    ends = [number for number, event in enumerate(events) if event["type"] in TERMINAL_EVENTS]
    if ends != [len(events) - 1]:
        yield f"{row.response_id}: terminal events at {ends} of {len(events)}"
    elif events[-1]["response"]["status"] != row.status:
        yield f"{row.response_id}: {row.status}, archived {events[-1]['response']['status']}"


def _unlike_itself(record: Record) -> Iterator[str]:
    """Yield events sent twice with different contents, and events after the end."""
    known: dict[int, Received] = {}
    for event in record.events:
        before = known.setdefault(event.number, event)
        if before.data != event.data:
            yield f"{_about(record)}: event {event.number} came in two versions"
    ends = [number for number, event in known.items() if event.is_terminal]
    if len(ends) > 1 or any(number > ends[0] for number in known if ends):
        yield f"{_about(record)}: terminal events {ends} of {max(known) + 1}"


def usage_is_exact(history: History) -> Iterator[str]:
    """Yield responses whose text or token count is not the model's, however many attempts."""
    for row in history.kept.rows.values():
        if not row.store or row.status not in ("completed", "incomplete"):
            continue
        num_tokens = (row.usage or {}).get("output_tokens", -1)
        known = history.answer_of(row, num_tokens)
        if (row.text, num_tokens) != (known.text, known.num_tokens):
            yield (
                f"{row.response_id}: {num_tokens} tokens counted, the text is {row.text!r}, "
                f"and {known} was to come"
            )


def turns_read_their_parents(history: History) -> Iterator[str]:
    """Yield responses whose prompt length differs from that of the committed chain before it."""
    jobs = {record.response_id: record.job for record in history.journal}
    for record, row in history.stored():
        if row.previous_id is None or not row.usage:
            continue
        parent = history.kept.rows.get(row.previous_id)
        if parent is None or not parent.usage or jobs[row.previous_id].is_poison:
            continue
        lines = [parent.text, record.job.text]
        expected = parent.usage["input_tokens"] + sum(1 + len(line.encode()) for line in lines)
        if row.usage["input_tokens"] != expected:
            found = row.usage["input_tokens"]
            yield f"{_about(record)}: prompt of {found} tokens, its chain has {expected}"


def _about(record: Record) -> str:
    return f"job {record.job.number} ({record.response_id})"
