"""Limit on requests without a valid key."""

import pytest

from api.access.failed_attempts import FailedAttempts
from models.errors import TooManyFailedAttemptsError


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def attempts(clock: Clock) -> FailedAttempts:
    return FailedAttempts(max_attempts=3, window_s=60, clock=clock)


def exhaust(attempts: FailedAttempts, address: str) -> None:
    for _ in range(3):
        attempts.check(address)
        attempts.note(address)


def test_an_address_with_too_many_is_refused_until_the_window_ends(
    attempts: FailedAttempts, clock: Clock
) -> None:
    exhaust(attempts, "192.0.2.1")

    with pytest.raises(TooManyFailedAttemptsError):
        attempts.check("192.0.2.1")
    clock.now = 61
    attempts.check("192.0.2.1")


def test_others_are_not(attempts: FailedAttempts) -> None:
    exhaust(attempts, "192.0.2.1")

    attempts.check("192.0.2.2")
    attempts.check("2001:db8::1")


@pytest.mark.parametrize(
    ("first", "second"),
    [("2001:db8::1", "2001:db8::ffff:1"), ("192.0.2.1", "::ffff:192.0.2.1"), ("unix", "unix")],
)
def test_addresses_of_one_network_are_counted_together(
    attempts: FailedAttempts, first: str, second: str
) -> None:
    exhaust(attempts, first)

    with pytest.raises(TooManyFailedAttemptsError):
        attempts.check(second)


def test_networks_of_ipv6_are_counted_apart(attempts: FailedAttempts) -> None:
    exhaust(attempts, "2001:db8::1")

    attempts.check("2001:db8:0:1::1")
