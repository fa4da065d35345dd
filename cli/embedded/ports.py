"""Choosing TCP ports on the loopback interface."""

import random
import socket

# Below the range from which Linux and macOS take the source ports of outgoing connections: else a
# client that reconnects while its server restarts could be given the server's own port.
_FIRST, _LAST = 15_000, 32_000


def free_port() -> int:
    """A port on 127.0.0.1 that nobody uses now."""
    while True:
        port = random.randint(_FIRST, _LAST)
        if is_free("127.0.0.1", port):
            return port


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError:
            return False
    return True
