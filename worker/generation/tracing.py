"""Trace of one attempt at a response: a span from its claim to its end, and what it consists of."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from models.ids import time_of_id
from models.responses.record import ResponseRecord
from models.store.finish import TerminalRecord
from models.tracing.gen_ai import OPERATION, end_attributes, output_content, request_attributes
from models.tracing.spans import current_span, within
from models.tracing.tracer import TRACER

_NS = 1_000_000_000


@contextmanager
def traced_attempt(claimed: ResponseRecord, began_ns: int) -> Iterator[None]:
    """Trace a response whose claim began at a Unix time, if its request is traced."""
    if claimed.traceparent is None or not TRACER.is_on:
        yield
        return
    if claimed.attempt == 1:
        accepted_ns = min(began_ns, int(time_of_id(claimed.id).timestamp() * _NS))
        waited = TRACER.start("queue", parent=claimed.traceparent, start_ns=accepted_ns)
        waited.end(began_ns)
    span = TRACER.start(
        f"{OPERATION} {claimed.model}",
        parent=claimed.traceparent,
        start_ns=began_ns,
        attributes=request_attributes(claimed),
    )
    span.add_child("claim", began_ns)
    try:
        with within(span):
            yield
    finally:
        span.end()


def trace_end(record: ResponseRecord, ending: TerminalRecord) -> None:
    """Add what is known at its end to the span of an attempt."""
    span = current_span()
    if span.traceparent is None:
        return
    span.set(end_attributes(record, ending))
    if TRACER.includes_content:
        span.set(output_content(list(ending.output)))
    if ending.error is not None:
        span.fail(str(ending.error.get("code")))


def trace_turn(submitted_ns: int, first_token_ns: int, num_tokens: int) -> None:
    """Trace a turn of the engine that has ended now; `first_token_ns` is 0 if it had no token.

    Its steps are one span.
    """
    span, ended_ns = current_span(), time.time_ns()
    span.add_child("prefill", submitted_ns, first_token_ns or ended_ns)
    if first_token_ns:
        span.add_child("decode", first_token_ns, ended_ns, {"antiphon.num_tokens": num_tokens})
