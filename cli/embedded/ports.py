"""Choice of TCP ports on the loopback interface."""

import random
import socket

# Below the ephemeral port range of Linux and macOS: otherwise a client that reconnects while its
# server restarts could be assigned the server's own port as its source port.
_FIRST, _LAST = 15_000, 32_000


def free_port() -> int:
    """Return a port on 127.0.0.1 that is not in use."""
    while True:
        port = random.randint(_FIRST, _LAST)
        if is_free("127.0.0.1", port):
            return port


def is_free(host: str, port: int) -> bool:
    """Return True if a server could listen on the address now."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError:
            return False
    return True
