"""How long to wait before a crashed child is started again."""

FIRST_DELAY_S = 0.5
MAX_DELAY_S = 30.0
HEALTHY_AFTER_S = 60.0


class Backoff:
    """Counts the crashes of one child: 0, 0.5, 1, 2, 4 … 30 s, afresh after a healthy minute."""

    def __init__(self) -> None:
        self.num_crashes = 0

    def next_delay_s(self, uptime_s: float) -> float:
        """Count a crash after `uptime_s` of life and give the wait before the next start."""
        if uptime_s >= HEALTHY_AFTER_S:
            self.num_crashes = 0
        self.num_crashes += 1
        if self.num_crashes == 1:
            return 0.0
        doublings = min(self.num_crashes - 2, 10)
        return min(FIRST_DELAY_S * float(2**doublings), MAX_DELAY_S)
