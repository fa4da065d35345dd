"""Clients for Redis or Valkey, with limits on connections and timeouts."""

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry


def _retry_once() -> Retry:
    """Return a policy of one more try on a new connection; whoever calls does the backoff.

    A server that has become a replica answers `READONLY`: the same address may now lead to another.
    """
    errors = (redis.ConnectionError, redis.TimeoutError, redis.exceptions.ReadOnlyError)
    return Retry(NoBackoff(), 1, supported_errors=errors)


def connect(url: str, *, max_connections: int = 64, timeout_s: float = 5) -> redis.Redis:
    """Return a client whose calls return or fail within seconds, even if the peer vanishes.

    `timeout_s` applies to each read and write.
    """
    return redis.Redis.from_url(
        url,
        max_connections=max_connections,
        socket_timeout=timeout_s,
        socket_connect_timeout=min(2, timeout_s),
        health_check_interval=10,
        retry=_retry_once(),
    )


def connect_subscriber(url: str) -> redis.Redis:
    """Return a client for one long-lived subscription; the caller sets a timeout per read."""
    return redis.Redis.from_url(
        url,
        socket_timeout=None,
        socket_connect_timeout=2,
        health_check_interval=10,
        retry=_retry_once(),
    )
