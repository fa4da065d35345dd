"""Fork server: a small process with one thread that has the tokenizers loaded and forks children.

Started by `models/grammars/isolation/server_process.py`. Each message on the control socket has the
key of a tokenizer, and as file descriptors the child's connection and the tokenizer's file. A spare
child waits for each tokenizer, so that no request waits for a fork. A child is killed when the
other end of its connection is closed; all end with the control socket.
"""

import gc
import os
import select
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from models.grammars.isolation.child import serve_one
from models.grammars.isolation.frames import send_frame
from models.grammars.isolation.loaded_tokenizer import LoadedTokenizer
from models.grammars.isolation.tokenizer_file import KEY_BYTES


@dataclass(frozen=True, slots=True)
class Spare:
    """Child that waits for a connection."""

    pid: int
    hand_over: socket.socket


class ForkServer:
    """The children by process id, and the tokenizers by key."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._tokenizers: dict[bytes, LoadedTokenizer] = {}
        self._connections: dict[int, socket.socket] = {}
        self._spares: dict[bytes, Spare] = {}
        self._wake_up, wake_up = os.pipe()
        os.set_blocking(wake_up, False)
        os.set_blocking(self._wake_up, False)
        signal.set_wakeup_fd(wake_up)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def run(self) -> None:
        """Serve until the control socket is closed."""
        while True:
            poll = select.poll()
            poll.register(self._control, select.POLLIN)
            poll.register(self._wake_up, select.POLLIN)
            for connection in self._connections.values():
                poll.register(connection, 0)  # hang-ups only: the child reads the data
            ready = dict(poll.poll())
            if self._wake_up in ready:
                self._reap()
            self._kill_abandoned(set(ready))
            if self._control.fileno() in ready and not self._fork_next():
                return

    def _fork_next(self) -> bool:
        """Fork a child for the next message; return False at the end of messages."""
        key, descriptors, _, _ = socket.recv_fds(self._control, KEY_BYTES, 2)
        if not key:
            return False
        connection = socket.socket(fileno=descriptors[0])
        for file in descriptors[1:]:
            if key not in self._tokenizers:
                self._tokenizers[key] = LoadedTokenizer(_read_all(file))
                gc.freeze()
            os.close(file)
        self._connections[self._hand_over(connection, key)] = connection
        self._spares[key] = self._fork(key)
        return True

    def _hand_over(self, connection: socket.socket, key: bytes) -> int:
        """Pass a connection to a spare child; return the child's process id."""
        while True:
            spare = self._spares.pop(key, None) or self._fork(key)
            with spare.hand_over, suppress(OSError):  # it may have been killed
                socket.send_fds(spare.hand_over, [b"c"], [connection.fileno()])
                return spare.pid

    def _fork(self, key: bytes) -> Spare:
        ours, theirs = socket.socketpair()
        server_pid = os.getpid()
        pid = os.fork()
        if pid == 0:
            ours.close()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            serve_one(theirs, self._tokenizers.get(key), server_pid)
        theirs.close()
        return Spare(pid, ours)

    def _kill_abandoned(self, ready: set[int]) -> None:
        for pid, connection in self._connections.items():
            if connection.fileno() in ready:
                os.kill(pid, signal.SIGKILL)  # its id is its own until it is reaped

    def _reap(self) -> None:
        """Reap children that have ended, and tell the other end if it was by a signal."""
        with suppress(BlockingIOError):
            os.read(self._wake_up, 4096)
        for pid, status in _ended_children():
            self._spares = {key: it for key, it in self._spares.items() if it.pid != pid}
            connection = self._connections.pop(pid, None)
            if connection is None:
                continue
            with connection, suppress(OSError):
                if os.WIFSIGNALED(status):
                    send_frame(connection, {"signal": os.WTERMSIG(status)})


def _ended_children() -> Iterator[tuple[int, int]]:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status


def _read_all(file: int) -> bytes:
    return os.pread(file, os.fstat(file).st_size, 0)


def main() -> None:
    """Serve on the socket whose file descriptor is the first argument."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()
    ForkServer(socket.socket(fileno=int(sys.argv[1]))).run()


if __name__ == "__main__":
    main()
