"""Bursts read from standard input and answered on standard output, a line of JSON each."""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

Clock = Callable[[int], None]
"""Told the number of a prompt whose first token is there."""
Work = Callable[[list[list[int]], int, Clock], int]
"""Generates so many tokens after each prompt, and returns how many all became."""


def arguments() -> dict[str, Any]:
    """What this process was started with."""
    found: dict[str, Any] = json.loads(sys.argv[1])
    return found


def serve(work: Work) -> None:
    """Say that all is ready, and answer bursts until there are no more."""
    # Libraries print what they like; that must not come between the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    print(json.dumps({"is_ready": True}), file=answers)
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(_measured(work, asked["prompts"], asked["num_tokens"])), file=answers)


def _measured(work: Work, prompts: list[list[int]], num_tokens: int) -> dict[str, Any]:
    firsts: dict[int, float] = {}
    began = time.monotonic()

    def clock(number: int) -> None:
        firsts.setdefault(number, time.monotonic() - began)

    total = work(prompts, num_tokens, clock)
    seconds = time.monotonic() - began
    return {"seconds": seconds, "num_tokens": total, "first_token_s": list(firsts.values())}
