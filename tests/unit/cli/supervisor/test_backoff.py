from cli.supervisor.backoff import HEALTHY_AFTER_S, MAX_DELAY_S, Backoff


def test_the_first_restart_is_at_once_and_later_ones_wait_ever_longer() -> None:
    backoff = Backoff()

    delays = [backoff.next_delay_s(uptime_s=1) for _ in range(6)]

    assert delays == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0]


def test_no_restart_waits_longer_than_the_maximum() -> None:
    backoff = Backoff()

    delays = [backoff.next_delay_s(uptime_s=0) for _ in range(2000)]

    assert max(delays) == delays[-1] == MAX_DELAY_S


def test_a_healthy_minute_makes_the_next_restart_immediate_again() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.next_delay_s(uptime_s=1)

    assert backoff.next_delay_s(uptime_s=HEALTHY_AFTER_S) == 0.0
