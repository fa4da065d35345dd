"""Time until so many places have become free, where what runs takes longer or shorter than others.

Places become free as what runs ends, and are then taken by what is queued. With durations d of
what is queued, and D on average, at random, of what is left of what runs, the work that is started
until t, in seconds of all places together, is t + (d - D) (1 - exp(-t / D)).
"""

from math import exp

_NUM_HALVINGS = 30


def seconds_until(work_s: float, queued_s: float, running_s: float) -> float:
    """Return the time at which so much work has been started.

    `queued_s` is the mean duration of what is to be started, and `running_s` of what runs.
    """
    if work_s <= 0 or running_s <= 0 or queued_s <= 0:
        return max(work_s, 0.0)
    least, most = 0.0, work_s + running_s
    for _ in range(_NUM_HALVINGS):
        middle = (least + most) / 2
        started_s = middle + (queued_s - running_s) * (1 - exp(-middle / running_s))
        least, most = (middle, most) if started_s < work_s else (least, middle)
    return most
