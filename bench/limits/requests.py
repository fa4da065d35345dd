"""Requests with a key over raw connections, opened again where the server closes them."""

import asyncio
import re
import time
from dataclasses import dataclass

Address = tuple[str, int]

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer: its status, 0 for a connection that failed, and when it came."""

    status: int
    at: float


def post(key: str, body: bytes) -> bytes:
    """Return the bytes of a POST to /v1/responses; without a key if that is empty."""
    authorization = f"Authorization: Bearer {key}\r\n" if key else ""
    head = (
        f"POST /v1/responses HTTP/1.1\r\nHost: localhost\r\n{authorization}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection:
    """Connection on which one request follows the other."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, request: bytes) -> Answered:
        """Send a request and read its whole answer."""
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection(*self._address)
            reader, writer = self._streams
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            if length:
                await reader.readexactly(int(length[1]))
        except (OSError, EOFError):
            self.close()
            return Answered(0, time.monotonic())
        if b"\r\nconnection: close" in head.lower():
            self.close()
        return Answered(int(head.split(b" ", 2)[1]), time.monotonic())

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


async def first_token_s(address: Address, key: str, body: bytes) -> float:
    """Return the seconds to the first text of a stream; infinite if it is refused."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection(*address)
    writer.write(post(key, body))
    taken = float("inf")
    while line := await reader.readline():
        if line.startswith(b"event: response.output_text.delta"):
            taken = time.monotonic() - began
        if line.startswith(b"data: [DONE]") or line.startswith(b"HTTP/1.1 4"):
            break
    writer.close()
    return taken
