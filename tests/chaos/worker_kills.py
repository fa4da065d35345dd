"""Workers that were killed, also by their own jobs, as the supervisor has logged it."""

import re
from dataclasses import dataclass
from pathlib import Path

_EVENT = re.compile(r"(worker-\d+) (was killed by SIGKILL|started)")


@dataclass(frozen=True, slots=True)
class WorkerKills:
    """Kills so far."""

    num_kills: int
    is_any_away: bool
    """True if a killed worker has not been started again yet."""


def read_kills(log: Path) -> WorkerKills:
    """Return the kills in the supervisor's log."""
    events = _EVENT.findall(log.read_text())
    last = dict(events)
    kills = [what for _, what in events if what != "started"]
    return WorkerKills(len(kills), any(what != "started" for what in last.values()))
