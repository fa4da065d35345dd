"""A TCP proxy that forwards, goes silent with all lines open, or cuts them."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self


class Proxy:
    """Listens on a free port of this machine, in front of `target`."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self.flows = threading.Event()
        """Cleared: nothing is forwarded, and nobody is told."""
        self.flows.set()
        self.swallows: bytes | None = None
        """The answer to the next request that holds this is not passed on: the line is cut."""

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def cut(self) -> None:
        """End every connection."""
        while self._sockets:
            line = self._sockets.pop()
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            line.close()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()
        self.flows.set()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
                self._sockets += (near, far)
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._forward, args=pair, daemon=True).start()

    def _swallow(self, data: bytes, near: socket.socket, far: socket.socket) -> None:
        """Let the server do it, then cut the line: the client cannot know whether it was done."""
        near.shutdown(socket.SHUT_RDWR)
        far.sendall(data)

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.flows.wait()
                if self.swallows is not None and self.swallows in data:
                    self.swallows = None
                    self._swallow(data, source, sink)
                    return
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
