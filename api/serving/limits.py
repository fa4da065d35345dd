"""Limits on time and size of connections."""

from dataclasses import dataclass

_KIB = 1 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingLimits:
    """Limits of one server process on what its clients may take."""

    max_connections: int = 6000
    max_client_connections: int = 3000
    """Connections from one address."""
    max_handshakes: int = 1000
    """TLS handshakes at a time, half of them from one address."""
    head_s: float = 10.0
    """Time for the request line and the headers, from the first byte or the accept on, and before
    it for a TLS handshake."""
    keep_alive_s: float = 75.0
    """Time that a connection stays open between two requests."""
    body_grace_s: float = 10.0
    """Time for a body beyond that which it takes at `body_bytes_per_s`."""
    body_bytes_per_s: float = 32 * _KIB
    """Rate below which bodies may not fall for longer than the grace."""
    body_s: float = 300.0
    """Longest time for a body at any rate."""
    stall_s: float = 60.0
    """Time after which a client is dropped that does not take what was sent to it."""
    linger_s: float = 2.0
    """Time that a client has to read an error before the connection is reset."""
    sweep_s: float = 1.0
    """Interval between two checks of all these times."""
    head_bytes: int = 64 * _KIB
    """Size of the request line and the headers."""
    ahead_bytes: int = 64 * _KIB
    """Bytes of further requests that are taken while one is answered."""
    write_ahead_bytes: int = 64 * _KIB
    """Bytes that may wait for a client before its stream pauses."""
    send_buffer_bytes: int = 64 * _KIB
    """Size of the kernel's send buffer, which doubles it."""

    def body_deadline(self, began_at: float, num_bytes: int) -> float:
        """Return the time until which the next byte of a body must arrive."""
        allowed = self.body_grace_s + num_bytes / self.body_bytes_per_s
        return began_at + min(allowed, self.body_s)
