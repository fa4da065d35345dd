"""Moving windows of one minute, shared by all processes in Redis.

Each decision is one script, hence atomic, and reads Redis' clock. A project has one hash with an
amount for each half second, whatever the amounts.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import redis

from models.access.projects import ProjectLimits, ProjectRecord
from models.limits.amounts import COUNTERS, Decision, Demand, Reservation, Usage, rates_of

FIRST_MEAN = 256
"""Output tokens that a choice is expected to have in a project that has none yet."""

_FOLDER = Path(__file__).parent


def _read(name: str) -> str:
    parts = ("windows.lua", name)
    return "\n".join((_FOLDER / part).read_text() for part in parts)


_RESERVE, _SETTLE = _read("reserve.lua"), _read("settle.lua")
_NAMES = (None, *COUNTERS, "stored_bytes")


@dataclass(frozen=True, slots=True)
class StoredRoom:
    """Bytes that a project may store beyond those that were measured at some time."""

    num_bytes: int
    measurement: int
    """Number of the measurement, such as its time."""

    @classmethod
    def of(cls, project: ProjectRecord) -> Self | None:
        """Return the room of a project; None if its size is not limited."""
        limit, at = project.limits.max_stored_bytes, project.stored_measured_at
        if limit is None:
            return None
        return cls(max(limit - project.stored_bytes, 0), int(at.timestamp()) if at else 0)


class Windows:
    """Counters of all projects; every call may raise `redis.RedisError`."""

    def __init__(self, client: redis.Redis) -> None:
        self._reserve = client.register_script(_RESERVE)
        self._settle = client.register_script(_SETTLE)

    def reserve(
        self,
        project_id: str,
        limits: ProjectLimits,
        demand: Demand,
        room: StoredRoom | None = None,
    ) -> Decision:
        """Count a demand if every limit, and the room, allow it; otherwise nothing of it."""
        arguments = [-1 if limit is None else limit for limit in rates_of(limits).values()]
        arguments += [demand.requests, demand.input_tokens, demand.output_tokens]
        arguments += [demand.num_open_choices, FIRST_MEAN]
        arguments += [-1, 0] if room is None else [room.num_bytes, demand.stored_bytes]
        keys = [*_keys(project_id), _stored_key(project_id, room)]
        return _to_decision(self._reserve(keys=keys, args=arguments))

    def settle(
        self,
        project_id: str,
        reservation: Reservation,
        *,
        input_tokens: int | None,
        output_tokens: int,
        is_whole: bool,
    ) -> None:
        """Replace reserved tokens by those that were used; `is_whole` updates the mean, too.

        The reserved input tokens were used if `input_tokens` is None.
        """
        more = [
            0 if reserved is None or used is None else used - reserved
            for used, reserved in (
                (input_tokens, reservation.input_tokens),
                (output_tokens, reservation.output_tokens),
            )
        ]
        counts = is_whole and reservation.output_tokens is not None
        each = output_tokens / reservation.num_choices if counts else -1
        self._settle(keys=_keys(project_id), args=[reservation.slot, 0, *more, each])

    def cancel(self, project_id: str, reservation: Reservation) -> None:
        """Take back all that was counted for a request which came to nothing."""
        less = [-(getattr(reservation, name) or 0) for name in COUNTERS]
        self._settle(keys=_keys(project_id), args=[reservation.slot, *less, -1])


def _keys(project_id: str) -> list[str]:
    # One hash tag: a cluster has all keys of a project in one place.
    return [f"antiphon:limits:{{{project_id}}}", f"antiphon:limits:{{{project_id}}}:mean"]


def _stored_key(project_id: str, room: StoredRoom | None) -> str:
    number = 0 if room is None else room.measurement
    return f"antiphon:limits:{{{project_id}}}:stored:{number}"


def _to_decision(reply: Any) -> Decision:
    refused, wait_ms, slot, output_tokens, *rest = map(int, reply)
    return Decision(
        refused_by=_NAMES[refused],
        wait_ms=wait_ms,
        slot=slot,
        output_tokens=output_tokens,
        usage={
            name: Usage(*pair)
            for name, pair in zip(COUNTERS, zip(rest[::2], rest[1::2], strict=True), strict=True)
        },
    )
