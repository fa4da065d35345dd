"""Measures of responses that several processes take: of their claim, and of their end.

Ages are by the clock of the process, whose host keeps the time as the database's does.
"""

import time

from models.ids import time_of_id
from models.metrics.recorder import RECORDER
from models.metrics.table import JOB_SECONDS, QUEUE_WAIT, TOKENS
from models.responses.record import ResponseRecord
from models.store.finish import TerminalRecord


def age_s(record: ResponseRecord) -> float:
    """Return the seconds since a response was accepted, or since its time (`not_before`).

    The id has the former to a millisecond, `created_at` only whole seconds.
    """
    accepted_at = time_of_id(record.id)
    since = max(accepted_at, record.not_before or accepted_at)
    return max(0.0, time.time() - since.timestamp())


def measure_claim(record: ResponseRecord) -> None:
    """Measure how long a response that is claimed for the first time has waited."""
    if record.attempt == 1:
        RECORDER.observe(QUEUE_WAIT, age_s(record), record.model)


def measure_end(record: ResponseRecord, ending: TerminalRecord) -> None:
    """Measure a response whose end is committed; whoever commits it calls this."""
    RECORDER.observe(JOB_SECONDS, age_s(record), ending.status, record.model)
    usage = ending.usage or {}
    details = usage.get("input_tokens_details") or {}
    for name, amount in (
        ("input", usage.get("input_tokens", 0)),
        ("cached", details.get("cached_tokens", 0)),
    ):
        if amount:
            RECORDER.count(TOKENS, name, record.model, amount=amount)
