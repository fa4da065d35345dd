"""Bursts read from standard input and answered on standard output, as lines of JSON."""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

Clock = Callable[[int], None]
"""Callback with the number of a prompt that has got a token; only its first one is timed."""
Work = Callable[[list[list[int]], int, Clock], int]
"""Function that generates that many tokens per prompt, and returns the total generated."""


def arguments() -> dict[str, Any]:
    """Return the arguments of this process, JSON in its first argument."""
    found: dict[str, Any] = json.loads(sys.argv[1])
    return found


def serve(work: Work) -> None:
    """Report readiness, and answer bursts until the input ends."""
    # Keep what libraries print apart from the answers: it goes to standard error.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    print(json.dumps({"is_ready": True}), file=answers)
    for line in sys.stdin:
        burst = json.loads(line)
        print(json.dumps(_measure(work, burst["prompts"], burst["num_tokens"])), file=answers)


def _measure(work: Work, prompts: list[list[int]], num_tokens: int) -> dict[str, Any]:
    firsts: dict[int, float] = {}
    began = time.monotonic()

    def clock(number: int) -> None:
        firsts.setdefault(number, time.monotonic() - began)

    total = work(prompts, num_tokens, clock)
    seconds = time.monotonic() - began
    return {"seconds": seconds, "num_tokens": total, "first_token_s": list(firsts.values())}
