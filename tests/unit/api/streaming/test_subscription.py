"""Messages of one response for one stream: what waits is bounded."""

import asyncio

from api.streaming.subscription import MAX_WAITING_BYTES, WAKE_UP, Subscription
from models.ids import new_id


async def _take_all(subscription: Subscription) -> list[bytes]:
    taken = []
    while True:
        try:
            async with asyncio.timeout(0):
                taken.append(await subscription.get())
        except TimeoutError:
            return taken


def test_messages_arrive_in_order() -> None:
    async def run() -> list[bytes]:
        subscription = Subscription("project", new_id())
        for message in (b"1", b"2", b"3"):
            subscription.put(message)
        return await _take_all(subscription)

    assert asyncio.run(run()) == [b"1", b"2", b"3"]


def test_a_waiting_stream_is_woken() -> None:
    async def run() -> bytes:
        subscription = Subscription("project", new_id())
        waiting = asyncio.create_task(subscription.get())
        await asyncio.sleep(0)
        subscription.put(b"1")
        return await waiting

    assert asyncio.run(run()) == b"1"


def test_what_a_stream_does_not_take_is_replaced_by_a_wake_up() -> None:
    async def run() -> list[bytes]:
        subscription = Subscription("project", new_id())
        for _ in range(3):
            subscription.put(b"x" * (MAX_WAITING_BYTES // 2))
        subscription.put(b"after")
        return await _take_all(subscription)

    assert asyncio.run(run()) == [WAKE_UP, b"after"]
