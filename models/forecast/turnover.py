"""Time until so many places have become free, where what runs takes longer or shorter than others.

Places become free as what runs ends, and are then taken by what is queued. With durations d of
what is queued, and D on average, at random, of what is left of what runs, the work that is started
until t, in seconds of all places together, is t + (d - D) (1 - exp(-t / D)).
"""

from math import exp

_NUM_STEPS = 20
_EXACT_S = 1e-4


def seconds_until(work_s: float, queued_s: float, running_s: float) -> float:
    """Return the time at which so much work has been started.

    `queued_s` is the mean duration of what is to be started, and `running_s` of what runs.
    """
    if work_s <= 0 or running_s <= 0 or queued_s <= 0:
        return max(work_s, 0.0)
    # Newton's method, from the side from which each step comes nearer without passing the time: of
    # what is started, the curve bends down if the queued ones take longer, and up if shorter.
    more_s = queued_s - running_s
    time_s = 0.0 if more_s >= 0 else work_s - more_s
    for _ in range(_NUM_STEPS):
        left = exp(-time_s / running_s)
        step_s = (work_s - time_s - more_s * (1 - left)) / (1 + more_s / running_s * left)
        time_s += step_s
        if abs(step_s) < _EXACT_S:
            break
    return time_s
