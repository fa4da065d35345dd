"""TCP proxy that forwards, stalls with all connections open, or cuts them."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self


class Proxy:
    """TCP proxy in front of `target`, on a free local port."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._sockets: list[socket.socket] = []
        self.flows = threading.Event()
        """Set while data is forwarded; if cleared, connections stall but stay open."""
        self.flows.set()
        self.swallows: bytes | None = None
        """Content of the next request to swallow: the server gets it, the client no answer.

        A statement of Postgres that is only prepared is answered; its first execution is not.
        """

    @property
    def port(self) -> int:
        """Port that the proxy listens on."""
        return int(self._listener.getsockname()[1])

    def cut(self) -> None:
        """End every connection."""
        while self._sockets:
            line = self._sockets.pop()
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            line.close()

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Closing alone would leave the thread in `accept`, and the socket to the garbage collector.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        self.flows.set()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._sockets.append(near)
                far = socket.create_connection(self._target)
                self._sockets.append(far)
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._forward, args=pair, daemon=True).start()

    def _swallow(self, data: bytes, near: socket.socket, far: socket.socket) -> None:
        """Pass the request on, but cut the client off, so that it cannot know the outcome."""
        near.shutdown(socket.SHUT_RDWR)
        far.sendall(data)

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        is_prepared = False
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.flows.wait()
                if is_prepared or (self.swallows is not None and self.swallows in data):
                    self.swallows = None
                    if is_prepared or not _only_prepares(data):
                        self._swallow(data, source, sink)
                        return
                    is_prepared = True
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


def _only_prepares(data: bytes) -> bool:
    """Return True for a Parse message with nothing but Sync behind it (protocol of Postgres)."""
    length = int.from_bytes(data[1:5])
    return data[:1] == b"P" and data[1 + length :][:1] == b"S"
