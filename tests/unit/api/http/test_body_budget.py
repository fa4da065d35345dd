"""The byte budget of all bodies in flight."""

import pytest

from api.http.body_budget import ORDINARY_BYTES, BodyBudget
from models.errors import OverloadedError, TooManyBodyBytesError

_MIB = 1 << 20


def test_bytes_that_are_released_can_be_taken_again() -> None:
    budget = BodyBudget(_MIB)
    for _ in range(3):
        leases = [budget.lease(client) for client in ("a", "b")]
        for lease in leases:
            lease.grow(_MIB // 2)
        with pytest.raises(OverloadedError):
            budget.lease("c").grow(1)
        for lease in leases:
            lease.release()
            lease.release()

    assert budget.num_bytes == 0


def test_a_refused_share_takes_nothing() -> None:
    budget = BodyBudget(_MIB)
    lease = budget.lease("a")
    lease.grow(_MIB // 2 - 1)

    with pytest.raises(OverloadedError):
        lease.grow(_MIB)

    assert budget.num_bytes == _MIB // 2 - 1
    lease.grow(1)


def test_room_is_checked_without_taking_it() -> None:
    budget = BodyBudget(16 * _MIB)
    lease = budget.lease("a")

    lease.check(6 * _MIB)
    with pytest.raises(OverloadedError):
        lease.check(6 * _MIB + 1)

    assert budget.num_bytes == 0
    lease.grow(6 * _MIB)


def test_large_bodies_leave_room_for_ordinary_ones() -> None:
    budget = BodyBudget(16 * _MIB)
    for client in ("a", "b"):
        budget.lease(client).grow(6 * _MIB)
    with pytest.raises(OverloadedError):
        budget.lease("c").grow(2 * _MIB)

    for _ in range(4):
        budget.lease("c").grow(ORDINARY_BYTES)


def test_one_client_leaves_room_for_the_large_bodies_of_others() -> None:
    budget = BodyBudget(16 * _MIB)
    budget.lease("a").grow(6 * _MIB)

    with pytest.raises(OverloadedError):
        budget.lease("a").grow(2 * _MIB)

    budget.lease("b").grow(6 * _MIB)


def test_one_client_leaves_room_for_the_ordinary_bodies_of_others() -> None:
    budget = BodyBudget(8 * _MIB)
    leases = [budget.lease("a") for _ in range(7)]
    for lease in leases[:6]:
        lease.grow(ORDINARY_BYTES)

    with pytest.raises(TooManyBodyBytesError) as refused:
        leases[6].grow(ORDINARY_BYTES)

    assert refused.value.http_status == 429
    budget.lease("b").grow(ORDINARY_BYTES)
    leases[0].release()
    leases[6].grow(ORDINARY_BYTES)


def test_a_body_that_grows_large_counts_as_large_with_all_its_bytes() -> None:
    budget = BodyBudget(16 * _MIB)
    growing = budget.lease("a")
    for _ in range(6):
        growing.grow(_MIB)

    with pytest.raises(OverloadedError):
        growing.grow(1)
