"""What one project has queued for one model, in the order in which its responses are claimed."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

from models.forecast.curve import Backlog, Curve, sweep

_FEW = 32
"""End users who are counted one by one; of more, a curve is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnGroup:
    """Queued responses of one end user and one priority."""

    priority: int
    end_user: int
    ids: list[bytes]
    """Bytes of their ids, in ascending order."""
    virtual_time: float | None
    """That of the end user's flow; None if no claim has seen it as yet."""
    estimate: float
    num_running: int

    @property
    def is_flex(self) -> bool:
        """True if it comes after everything that is not `flex`."""
        return self.priority < 0


class OwnQueue:
    """Order of the responses of one project: by priority, then end users in turns, then age."""

    def __init__(self, groups: Sequence[OwnGroup], num_users: int = 0) -> None:
        """Create it; `num_users` end users have sent something lately."""
        self._num_users = num_users
        self._groups = {(group.priority, group.end_user): group for group in groups}
        self._turns: dict[int, Turns] = {}
        self.num_ids = sum(len(group.ids) for group in groups)

    def add(self, priority: int, end_user: int, response_id: UUID) -> None:
        """Add a response that was queued since this was read; older ones are left out."""
        group = self._groups.get((priority, end_user))
        if group is None:
            group = self._groups[priority, end_user] = OwnGroup(
                priority=priority,
                end_user=end_user,
                ids=[],
                virtual_time=None,
                estimate=0.0,
                num_running=0,
            )
        if not group.ids or group.ids[-1] < response_id.bytes:
            group.ids.append(response_id.bytes)
            self.num_ids += 1

    def has(self, priority: int, end_user: int, response_id: UUID) -> bool:
        """Return True if a response was queued when this was read."""
        group = self._groups.get((priority, end_user))
        if group is None:
            return False
        place = bisect_left(group.ids, response_id.bytes)
        return place < len(group.ids) and group.ids[place] == response_id.bytes

    def num_ahead(
        self, priority: int, end_user: int, response_id: UUID, *, num_more: float = 0.0
    ) -> float:
        """Return how many of the project's responses are likely to be claimed before one.

        `num_more` responses of all of its end users are expected to come meanwhile.
        """
        # A copy: another thread may add a group.
        same_tier = [g for g in list(self._groups.values()) if g.is_flex == (priority < 0)]
        higher = sum(len(group.ids) for group in same_tier if group.priority > priority)
        group = self._groups.get((priority, end_user))
        own = 0 if group is None else bisect_left(group.ids, response_id.bytes)
        users = [g for g in same_tier if g.priority == priority]
        each = num_more / max(1, len(users), self._num_users)
        return higher + own + self._num_of_others(priority, users, group, own, each)

    def _num_of_others(
        self,
        priority: int,
        users: Sequence[OwnGroup],
        mine: OwnGroup | None,
        own: int,
        num_more: float,
    ) -> float:
        """Return how many of other end users are claimed before one with so many of its own."""
        num_idle = max(0, self._num_users - len(users)) if num_more else 0
        if not num_idle and all(user is mine for user in users):
            return 0.0
        turns = self._turns.get(priority)
        if turns is None:
            turns = self._turns[priority] = Turns(users)
        until = turns.tag(mine) + own * turns.estimate(mine)
        of_idle = num_idle * turns.num_to_come(until, num_more)
        if len(users) <= _FEW:
            others = [user for user in users if user is not mine]
            return of_idle + sum(turns.num_before(until, user, num_more) for user in others)
        counted = min(len(mine.ids), own + 0.5) if mine and own else 0.0
        return of_idle + max(0.0, turns.curve.at(until)[0] - counted)


class Turns:
    """Turns that end users take whose responses have the same priority."""

    def __init__(self, users: Sequence[OwnGroup]) -> None:
        self._users = users
        known = [user.estimate for user in users if user.estimate > 0]
        self._mean = sum(known) / len(known) if known else 1.0
        times = [user.virtual_time for user in users if user.virtual_time is not None]
        self._least = min(times, default=0.0)

    def estimate(self, user: OwnGroup | None) -> float:
        """Return the tokens that a response of an end user is expected to take."""
        return (user.estimate if user else 0.0) or self._mean

    def tag(self, user: OwnGroup | None) -> float:
        """Return the virtual time at which the next response of an end user is claimed."""
        if user is None or user.virtual_time is None:
            return self._least
        return user.virtual_time + user.num_running * self.estimate(user)

    def num_before(self, until: float, user: OwnGroup, num_more: float) -> float:
        """Return how many of an end user are claimed until a virtual time, on average."""
        tag = self.tag(user)
        if until <= tag:
            return 0.5 if until == tag else 0.0
        return min(len(user.ids) + num_more, max(1.0, (until - tag) / self.estimate(user) + 0.5))

    def num_to_come(self, until: float, num_more: float) -> float:
        """Return how many are claimed of an end user who has nothing queued, but will have."""
        return min(num_more, max(0.0, (until - self._least) / self._mean) + 0.5)

    @cached_property
    def curve(self) -> Curve:
        """Claims of all these end users by virtual time."""
        backlogs = [
            Backlog(
                start=self.tag(user),
                step=self.estimate(user),
                num=len(user.ids),
                tokens=0.0,
                weight=1.0,
                demand=0.0,
            )
            for user in self._users
        ]
        return sweep(backlogs, 1.0)
