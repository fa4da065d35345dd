"""The checker passes a clean history, and detects every violation."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from tests.chaos.answers import Answer, script
from tests.chaos.histories import (
    API,
    ID,
    NUM_TOKENS,
    OTHER_WORKER,
    change,
    event,
    events,
    history,
    later,
    life,
    record,
    row,
    without_event,
)
from tests.chaos.history import History
from tests.chaos.journal import DELTA, Connection, Seen
from tests.chaos.ledger import INVARIANTS, check
from tests.chaos.plan import Job

DELETED = {"connections": [], "deleted_at": 5.0, "delete_asked_at": 5.0}
POLLED = Job(number=7, max_tokens=NUM_TOKENS)
TERMINAL_DATA = events()[-1].data


def streamed(*connections: Connection) -> History:
    return history([record(connections=list(connections))])


def answered(text: str, num_tokens: int, *, is_complete: bool = False) -> History:
    """Return the history where the model should have answered so."""
    return replace(history(), answers={ID: Answer(text, num_tokens, is_complete)})


def archived(*data: bytes) -> History:
    return history([record(connections=[], job=POLLED)], [row(events=list(data))])


def lost_text(
    *, log_lost_at: float, status: str = "failed", num_crashes: int = 2, attempt: int = 4
) -> History:
    """Return a response that ended after three events were sent, none of which is archived."""
    kind = "failed" if status == "failed" else "incomplete"
    ended = event(1, f"response.{kind}", response={"status": status, "output": []})
    kept = row(
        status=status,
        attempt=attempt,
        num_crashes=num_crashes,
        usage=None,
        text="",
        events=[events()[0].data, ended.data],
    )
    shown = record(
        connections=[Connection(0, 0.0, events()[:3])],
        seen=[Seen(9.0, status, "", "get")],
        cancelled_at=8.0 if status == "cancelled" else None,
        job=Job(
            number=7,
            max_tokens=NUM_TOKENS,
            stream=True,
            cancel_after_s=8.0 if status == "cancelled" else None,
        ),
        bad_answers=["error event events_lost"],
    )
    changes = [*life()[:2], change("in_progress", status)]
    return replace(history([shown], [kept], changes), log_lost_at=(log_lost_at,))


def overtaken(*, store: bool = True, **fields: Any) -> History:
    """Return three responses of which the first starts last, with capacity for one at a time.

    `fields` are those of the later two.
    """
    first = row(started_at=9.0, store=store)
    rows = [first, later(row(**fields), 2), later(row(**fields), 3)]
    changes = [
        change(None, "queued", at=float(number), response_id=later_row.response_id)
        for number, later_row in enumerate(rows)
    ]
    return replace(history(rows=rows, changes=changes), num_parallel=1)


def test_a_clean_history_breaks_nothing() -> None:
    assert check(history()) == {}


@pytest.mark.parametrize(
    "clean",
    [
        streamed(
            Connection(0, 0.0, events()[:3]),
            Connection(2, 1.0, events()[2:4]),
            Connection(4, 2.0, events()[4:]),
        ),
        history([record(**DELETED)], []),
        history([record(response_id=None, connections=[], seen=[])], []),
        history(
            changes=[
                *life()[:2],
                change("in_progress", "queued", writer="antiphon maintenance 5", new_attempt=1),
                change("queued", "in_progress", old_attempt=1, new_attempt=2, writer=OTHER_WORKER),
                change(
                    "in_progress",
                    "incomplete",
                    old_attempt=2,
                    new_attempt=2,
                    owner=OTHER_WORKER,
                    writer=OTHER_WORKER,
                ),
            ]
        ),
        history(
            changes=[
                *life()[:2],
                change("in_progress", "in_progress", old_attempt=1, new_attempt=2, writer=API),
                change(
                    "in_progress",
                    "incomplete",
                    old_attempt=2,
                    new_attempt=2,
                    owner=None,
                    writer=API,
                ),
            ]
        ),
        history(
            [record(job=Job(number=7, max_tokens=NUM_TOKENS, store=False))],
            [],
            changes=[*life(), change("incomplete", None)],
        ),
        lost_text(log_lost_at=3.5),
        lost_text(status="cancelled", num_crashes=0, attempt=2, log_lost_at=3.5),
    ],
    ids=[
        *("reconnects", "deleted", "never answered", "reclaimed", "taken over", "run out"),
        *("a third worker lost with the log", "cancelled when worker and log were lost"),
    ],
)
def test_what_is_allowed_breaks_nothing(clean: History) -> None:
    assert check(clean) == {}


BROKEN = [
    ("I1", "stuck", replace(history(), num_unfinished=1)),
    ("I1", "lost", history(rows=[])),
    ("I1", "still running", history(rows=[row(status="in_progress", events=None)])),
    (
        "I1",
        "failed for nothing",
        history([record(connections=[], seen=[])], [row(status="failed")]),
    ),
    ("I2", "an end undone", history(changes=[*life(), change("incomplete", "queued")])),
    ("I2", "two readers", history([record(seen=[Seen(9.0, "completed", "", "get")])])),
    (
        "I2",
        "a relapse",
        history(
            [
                record(
                    seen=[
                        Seen(1.0, "incomplete", script(NUM_TOKENS), "get"),
                        Seen(2.0, "in_progress", "", "get"),
                    ]
                )
            ]
        ),
    ),
    (
        "I3",
        "a stale end",
        history(changes=[*life()[:2], change("in_progress", "incomplete", writer=OTHER_WORKER)]),
    ),
    (
        "I3",
        "a stale hand-back",
        history(changes=[*life()[:2], change("in_progress", "queued", writer=OTHER_WORKER)]),
    ),
    (
        "I3",
        "an end that nobody took over for",
        history(changes=[*life()[:2], change("in_progress", "cancelled", writer=API)]),
    ),
    (
        "I3",
        "an attempt not counted",
        history(changes=[change("queued", "in_progress", old_attempt=1)]),
    ),
    ("I3", "two ends", history(changes=[*life(), *life()[1:]])),
    ("I4", "a gap", streamed(Connection(0, 0.0, without_event(2)))),
    ("I4", "a repeat", streamed(Connection(0, 0.0, [*events()[:2], *events()[1:]]))),
    ("I4", "a late beginning", streamed(Connection(0, 0.0, events()[1:]))),
    (
        "I4",
        "a gap between connections",
        streamed(Connection(0, 0.0, events()[:2]), Connection(3, 1.0, events()[3:])),
    ),
    ("I4", "a gap in the archive", archived(*(each.data for each in without_event(2)))),
    (
        "I5",
        "other text than stored",
        history(rows=[row(text="other", events=[each.data for each in events()])]),
    ),
    (
        "I5",
        "streamed otherwise",
        streamed(Connection(0, 0.0, [events()[0], event(1, DELTA, delta="other"), *events()[2:]])),
    ),
    (
        "I5",
        "two versions of one event",
        history(
            [
                record(
                    connections=[
                        Connection(0, 0.0, [*events()[:3], event(3, DELTA, delta="first")]),
                        Connection(3, 1.0, events()[3:]),
                    ]
                )
            ]
        ),
    ),
    ("I5", "no end archived", archived(*(each.data for each in events()[:-1]))),
    (
        "I5",
        "two ends archived",
        archived(
            *(each.data for each in events()),
            orjson.dumps(orjson.loads(TERMINAL_DATA) | {"sequence_number": NUM_TOKENS + 2}),
        ),
    ),
    ("I5", "another end archived", history(rows=[row(status="completed")])),
    (
        "I6",
        "cancelled and completed",
        history([record(cancelled_at=3.0)]),
    ),
    ("I7", "counted twice", history(rows=[row(usage={"input_tokens": 5, "output_tokens": 6})])),
    ("I7", "another text than the model's", answered("thus", NUM_TOKENS)),
    ("I7", "a token more than the model's", answered(script(NUM_TOKENS), NUM_TOKENS + 1)),
    ("I1", "a limit before the end", answered(script(NUM_TOKENS), NUM_TOKENS, is_complete=True)),
    (
        "I9",
        "a parent not read",
        history(
            [record(), record(job=POLLED, response_id=later(row(), 2).response_id, connections=[])],
            [row(), later(row(), 2, previous_id=ID)],
        ),
    ),
    (
        "I10",
        "overtaken",
        overtaken(),
    ),
    ("I11", "a row", history([record(**DELETED)])),
    ("I11", "a read", history([record(**DELETED, found_after_delete=[200])], [])),
    (
        "I11",
        "a stream",
        history([record(**DELETED | {"connections": [Connection(0, 6.0, events())]})], []),
    ),
    (
        "I11",
        "a log",
        history([record(**DELETED)], [], redis_keys={f"antiphon:log:{ID[5:]}": 100}),
    ),
    (
        "I12",
        "two ids",
        history([record(job=replace(POLLED, posts_twice=True), ids_of_key={"resp_1", "resp_2"})]),
    ),
    (
        "I12",
        "two rows",
        history([record(job=replace(POLLED, posts_twice=True))], [row(), later(row(), 2)]),
    ),
    ("I13", "a wake-up", history(unacked_for_s=[300.0])),
    ("I13", "a key for ever", history(redis_keys={"antiphon:fence:1": -1})),
    ("I13", "a process of nobody", replace(history(), num_orphans=1)),
    ("I13", "a log for long", history(redis_keys={"antiphon:log:1": 3000})),
    ("I5", "shown, and no log was lost", lost_text(log_lost_at=-1.0)),
    ("I5", "shown, and few workers were lost", lost_text(num_crashes=1, log_lost_at=3.5)),
    (
        "I5",
        "shown, and cancelled by its worker",
        lost_text(status="cancelled", num_crashes=0, attempt=1, log_lost_at=3.5),
    ),
    ("I14", "a long wait", replace(history(), slow_returns=("valkey READONLY: 6.00 s",))),
    ("I15", "a clean exit", replace(history(), num_clean_exits={"worker-1": 1})),
    (
        "I15",
        "one more than asked for",
        replace(history(), num_clean_exits={"api": 2}, num_terms={"api": 1}),
    ),
    ("no answer", "a traceback", history([record(bad_answers=["500: {}"])])),
]


@pytest.mark.parametrize(
    ("invariant", "broken"),
    [(invariant, broken) for invariant, _, broken in BROKEN],
    ids=[f"{invariant} {what}" for invariant, what, _ in BROKEN],
)
def test_a_break_is_found(invariant: str, broken: History) -> None:
    found = [name for name in check(broken) if name.startswith(f"{invariant} ")]

    assert found


def test_what_is_not_stored_may_wait_for_redis_while_others_pass_it() -> None:
    assert not [name for name in check(overtaken(store=False)) if name.startswith("I10 ")]


def test_an_answer_as_the_model_gives_it_is_right() -> None:
    assert not check(answered(script(NUM_TOKENS), NUM_TOKENS))


def test_an_exit_that_was_asked_for_is_clean() -> None:
    asked = replace(
        history(), num_clean_exits={"worker-1": 1, "postgres": 1}, num_terms={"worker-1": 1}
    )

    assert not check(asked)


def test_every_invariant_is_seen_broken() -> None:
    assert {invariant for invariant, _, _ in BROKEN} == {
        "no answer" if name.startswith("no ") else name.split()[0] for name in INVARIANTS
    }


def test_what_a_client_waits_for_may_pass_what_is_in_the_background() -> None:
    assert not [name for name in check(overtaken(background=False)) if name.startswith("I10 ")]


def test_another_end_user_may_overtake() -> None:
    assert not [name for name in check(overtaken(end_user=1)) if name.startswith("I10 ")]
