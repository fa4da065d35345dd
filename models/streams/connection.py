"""Connections to Redis or Valkey: bounded in number and in time."""

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry


def connect(url: str, *, max_connections: int = 64, timeout_s: float = 5) -> redis.Redis:
    """A client that answers or fails within seconds, also when its peer is gone silently."""
    return redis.Redis.from_url(
        url,
        max_connections=max_connections,
        socket_timeout=timeout_s,
        socket_connect_timeout=min(2, timeout_s),
        health_check_interval=10,
        retry=Retry(NoBackoff(), 1),
    )


def connect_subscriber(url: str) -> redis.Redis:
    """A client for one long-lived subscription; its reads carry their own timeouts."""
    return redis.Redis.from_url(
        url, socket_timeout=None, socket_connect_timeout=2, health_check_interval=10
    )
