"""Sending to one client: waits while it is behind, and tells if it stays so."""

import asyncio
import fcntl
import socket
import struct
import sys
import termios
import time


class Sender:
    """Bytes on their way to one client."""

    __slots__ = ("_is_paused", "_mark", "_marked_at", "_num_queued", "_transport", "_waiters")

    def __init__(self, transport: asyncio.Transport, write_ahead_bytes: int) -> None:
        self._transport = transport
        self._is_paused = False
        self._waiters: list[asyncio.Future[None]] = []
        self._num_queued = 0
        self._mark = 0
        self._marked_at = time.monotonic()
        transport.set_write_buffer_limits(high=write_ahead_bytes)

    @property
    def is_paused(self) -> bool:
        """True while the client is behind."""
        return self._is_paused

    def write(self, data: bytes) -> None:
        """Send data, or keep it until the client takes it."""
        self._num_queued += len(data)
        self._transport.write(data)

    async def drain(self) -> None:
        """Wait until little is left to send; several coroutines may wait."""
        while self._is_paused:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    def pause(self) -> None:
        """Make `drain` wait."""
        self._is_paused = True

    def resume(self) -> None:
        """Let `drain` return."""
        self._is_paused = False
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def is_stalled(self, now: float, stall_s: float) -> bool:
        """Return True if what was sent `stall_s` seconds ago has not arrived yet.

        The kernel's buffer counts as not arrived, so a peer that has vanished is noticed too.
        """
        num_left = self._transport.get_write_buffer_size()
        is_quiet = not num_left and self._mark == self._num_queued
        if is_quiet and now - self._marked_at <= stall_s:
            return False
        num_left += self._num_in_kernel()
        if not num_left or self._num_queued - num_left >= self._mark:
            self._mark, self._marked_at = self._num_queued, now
            return False
        return now - self._marked_at > stall_s

    def _num_in_kernel(self) -> int:
        """Return the number of bytes that the client has not acknowledged."""
        connection: socket.socket | None = self._transport.get_extra_info("socket")
        if sys.platform != "linux" or connection is None or connection.fileno() < 0:
            return 0
        try:
            result = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
        except OSError:
            return 0
        return int(struct.unpack("i", result)[0])
