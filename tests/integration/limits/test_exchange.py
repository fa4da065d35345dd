"""Numbers that processes tell each other."""

from typing import Any

import redis

from models.limits.exchange import Exchange, Others


def test_each_process_gets_the_sum_of_the_others(client: redis.Redis) -> None:
    first, second, third = (Exchange(client) for _ in range(3))

    first.tell({"p": 3, "q": 1})
    second.tell({"p": 4})

    assert third.tell({"p": 9, "q": 0}) == {"p": Others(7, 2), "q": Others(1, 1)}
    assert first.tell({"p": 3}) == {"p": Others(13, 2)}


def test_a_process_that_is_gone_is_forgotten(client: redis.Redis) -> None:
    first, second = Exchange(client), Exchange(client)
    first.tell({"p": 3})
    key = "antiphon:limits:{p}:processes"
    entries: Any = client.hgetall(key)
    [(process, value)] = entries.items()
    number, until_s = value.decode().split()
    client.hset(key, process, f"{number} {int(until_s) - 10}")

    assert second.tell({"p": 1}) == {"p": Others(0, 0)}
    assert client.hlen(key) == 1
