"""Numbers that processes tell each other through Redis, such as those of their open streams."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import redis

HOLDS_S = 5
"""Seconds after which the number of a process that is gone is forgotten."""
_EXCHANGE = Path(__file__).with_name("exchange.lua").read_text()


@dataclass(frozen=True, slots=True)
class Others:
    """Numbers of all other processes."""

    total: int = 0
    num_processes: int = 0


class Exchange:
    """Exchange of one process; every call may raise `redis.RedisError`."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._process = uuid.uuid4().hex
        self._script = client.register_script(_EXCHANGE)

    def tell(self, numbers: Mapping[str, int]) -> dict[str, Others]:
        """Tell the number of each name, in one round trip; return those of the others."""
        pipeline = self._client.pipeline(transaction=False)
        for name, number in numbers.items():
            key = f"antiphon:limits:{{{name}}}:processes"
            self._script(keys=[key], args=[self._process, number, HOLDS_S], client=pipeline)
        replies = pipeline.execute()
        return {
            name: Others(*map(int, reply)) for name, reply in zip(numbers, replies, strict=True)
        }
