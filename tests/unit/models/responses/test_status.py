"""The states of a response and the table of its transitions."""

import pytest

from models.responses.status import ACTIVE, TERMINAL, TRANSITIONS, ResponseStatus, sources_of


def test_the_states_are_written_as_the_protocol_has_them() -> None:
    assert [status.value for status in ResponseStatus] == [
        "queued",
        "in_progress",
        "completed",
        "incomplete",
        "failed",
        "cancelled",
    ]


def test_every_state_has_its_line_in_the_table() -> None:
    assert set(TRANSITIONS) == set(ResponseStatus)


def test_a_response_that_has_ended_stays_as_it_is() -> None:
    ended = {"completed", "incomplete", "failed", "cancelled"}

    assert ended == TERMINAL
    assert {"queued", "in_progress"} == ACTIVE


def test_no_move_leads_from_a_state_to_itself() -> None:
    assert not [status for status, following in TRANSITIONS.items() if status in following]


def test_every_state_can_be_reached_from_the_queue() -> None:
    reached, new = set(), {ResponseStatus.QUEUED}

    while new:
        reached |= new
        new = {target for source in new for target in TRANSITIONS[source]} - reached

    assert reached == set(ResponseStatus)


@pytest.mark.parametrize("status", sorted(ACTIVE))
@pytest.mark.parametrize("end", [ResponseStatus.CANCELLED, ResponseStatus.FAILED])
def test_what_has_not_ended_can_be_cancelled_and_can_fail(
    status: ResponseStatus, end: ResponseStatus
) -> None:
    assert end in TRANSITIONS[status]


@pytest.mark.parametrize("end", [ResponseStatus.COMPLETED, ResponseStatus.INCOMPLETE])
def test_only_what_runs_can_end_with_output(end: ResponseStatus) -> None:
    assert sources_of(end) == {ResponseStatus.IN_PROGRESS}


@pytest.mark.parametrize("target", ResponseStatus)
def test_sources_are_the_table_read_backward(target: ResponseStatus) -> None:
    sources = sources_of(target)

    for source in ResponseStatus:
        assert (source in sources) == (target in TRANSITIONS[source])
