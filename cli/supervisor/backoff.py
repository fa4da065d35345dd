"""Exponential backoff for the restarts of a crashed child."""

FIRST_DELAY_S = 0.5
MAX_DELAY_S = 30.0
HEALTHY_AFTER_S = 60.0
"""Uptime in seconds after which earlier crashes no longer count."""


class Backoff:
    """Crash counter of one child: delays of 0, 0.5, 1, 2, 4 … 30 s, reset by a healthy minute."""

    def __init__(self) -> None:
        self.num_crashes = 0

    def next_delay_s(self, uptime_s: float) -> float:
        """Count a crash after `uptime_s` seconds; return the delay of the next start in seconds."""
        if uptime_s >= HEALTHY_AFTER_S:
            self.num_crashes = 0
        self.num_crashes += 1
        if self.num_crashes == 1:
            return 0.0
        doublings = min(self.num_crashes - 2, 10)
        return min(FIRST_DELAY_S * float(2**doublings), MAX_DELAY_S)
