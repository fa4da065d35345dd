"""Sending to one client that falls behind."""

import asyncio
from typing import Any, cast

from api.serving.sender import Sender


class _Transport:
    def set_write_buffer_limits(self, high: int) -> None:
        self.high = high


def _sender() -> Sender:
    return Sender(cast(Any, _Transport()), write_ahead_bytes=1)


def test_all_that_wait_go_on_when_the_client_has_caught_up() -> None:
    async def run() -> list[int]:
        sender, done = _sender(), list[int]()

        async def drain(number: int) -> None:
            await sender.drain()
            done.append(number)

        sender.pause()
        waiting = [asyncio.create_task(drain(number)) for number in range(3)]
        await asyncio.sleep(0)
        assert done == []
        sender.resume()
        await asyncio.gather(*waiting)
        return done

    assert asyncio.run(run()) == [0, 1, 2]


def test_one_that_is_cancelled_does_not_take_others_along() -> None:
    async def run() -> None:
        sender = _sender()
        sender.pause()
        left, right = (asyncio.create_task(sender.drain()) for _ in range(2))
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.wait([left])
        sender.resume()
        await right
        assert left.cancelled()

    asyncio.run(run())
