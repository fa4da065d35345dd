"""Child of the fork server: waits for one request, runs it within its limits and exits."""

import ctypes
import os
import resource
import signal
import socket
import sys
from math import ceil
from pathlib import Path

from models.grammars.isolation.frames import receive_frame, send_frame
from models.grammars.isolation.loaded_tokenizer import LoadedTokenizer
from models.grammars.isolation.tasks import run_task

BUSY_NAME = b"grammar"
"""Name of a process that compiles a grammar, as `ps` shows it."""

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_MAX_REQUEST_S = 5.0
"""Seconds that the sender of a request may take to send it."""

_libc = ctypes.CDLL(None)


def serve_one(hand_over: socket.socket, tokenizer: LoadedTokenizer | None, server_pid: int) -> None:
    """Wait on `hand_over` for a connection with a request, run it, send the answer, and exit."""
    _end_with(server_pid)
    try:
        _, [descriptor], _, _ = socket.recv_fds(hand_over, 1, 1)
        _serve(socket.socket(fileno=descriptor), tokenizer)
    finally:
        os._exit(0)


def _serve(connection: socket.socket, tokenizer: LoadedTokenizer | None) -> None:
    connection.settimeout(_MAX_REQUEST_S)
    try:
        request = receive_frame(connection)
        connection.settimeout(None)
        _limit(request)
        send_frame(connection, {"result": run_task(request, tokenizer)})
    except MemoryError:
        # Like an allocation that fails in Rust.
        os.abort()
    except BaseException as error:  # panics of Rust are no `Exception`
        send_frame(connection, {"failure": type(error).__name__})


def _end_with(server_pid: int) -> None:
    """Have this process killed when the fork server ends."""
    if sys.platform == "linux":
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != server_pid:
            os._exit(1)


def _set_name(name: bytes) -> None:
    if sys.platform == "linux":
        _libc.prctl(_PR_SET_NAME, name)


def _limit(request: dict[str, float]) -> None:
    """Set priority, limits of time, whose signals end this process, and the limit of memory."""
    _set_name(BUSY_NAME)
    os.nice(int(request["nice"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    seconds = ceil(request["max_cpu_s"]) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    signal.setitimer(signal.ITIMER_PROF, request["max_cpu_s"])
    signal.setitimer(signal.ITIMER_REAL, request["max_child_s"])
    size = Path("/proc/self/statm")
    if size.exists():  # elsewhere than on Linux, address space is not limited
        used = int(size.read_text().split()[0]) * resource.getpagesize()
        limit = used + int(request["max_memory_bytes"])
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
