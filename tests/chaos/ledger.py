"""Invariants, each a pure function from a history to its violations.

I1 to I13 are numbered as in the reliability notes. I8 (webhooks) and I12 (idempotency keys) concern
features.
"""

from collections.abc import Callable, Iterator

from tests.chaos import ends, service, streams
from tests.chaos.history import History

Invariant = Callable[[History], Iterator[str]]

INVARIANTS: dict[str, Invariant] = {
    "I1 every accepted response ends": ends.every_response_ends,
    "I2 an end never changes": ends.no_end_changes,
    "I3 one end, and no stale write": ends.no_stale_write,
    "I4 sequence numbers have no gap and no repeat": streams.numbers_are_contiguous,
    "I5 deltas add up to the stored text": streams.deltas_add_up,
    "I6 what is cancelled stays cancelled": ends.cancelled_stays,
    "I7 usage is counted once": streams.usage_is_exact,
    "I9 a turn reads its committed parents": streams.turns_read_their_parents,
    "I10 first come, first served": service.no_overtaking,
    "I11 what is deleted is gone": service.deleted_is_gone,
    "I12 one key, one response": service.one_response_per_key,
    "I13 nothing is left over": service.nothing_left_over,
    "I14 service returns": service.service_returns,
    "I15 no exit as if all were well": service.no_clean_exit,
    "no answer but those a client can act on": service.no_bad_answers,
}


def check(history: History) -> dict[str, list[str]]:
    """Return the violations by invariant; empty if all hold."""
    found = {name: list(invariant(history)) for name, invariant in INVARIANTS.items()}
    return {name: breaks for name, breaks in found.items() if breaks}
