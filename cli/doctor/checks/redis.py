"""Redis or Valkey: reachable, new enough, loses nothing by itself, and has memory left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cli.doctor.finding import Finding
from cli.doctor.installation import Installation

_MIN_VERSIONS = {"redis": 7, "valkey": 8}
_NEARLY_FULL = 0.9


def reachable(at: Installation) -> Iterator[Finding]:
    """Look if Redis answers."""
    from redis import Redis, RedisError

    client = Redis.from_url(at.redis_url, socket_timeout=5, retry=None)
    try:
        client.ping()
    except RedisError as error:
        yield Finding(
            f"REDIS_URL: Redis does not let us in: {' '.join(str(error).split())}",
            "start Redis or Valkey, or correct REDIS_URL: redis://:password@host:port/0",
        )
    finally:
        client.close()


def version(at: Installation) -> Iterator[Finding]:
    """Look if the server is new enough."""
    info = _info(at, "server")
    product = str(info.get("server_name", "redis"))
    found = str(info.get(f"{product}_version", info.get("redis_version", "0")))
    wanted = _MIN_VERSIONS.get(product, _MIN_VERSIONS["redis"])
    if int(found.partition(".")[0]) < wanted:
        yield Finding(
            f"{product} is of version {found}",
            "REDIS_URL must name a Redis 7, a Valkey 8, or a newer one",
        )


def eviction(at: Installation) -> Iterator[Finding]:
    """Look if the server evicts keys when its memory is full."""
    policy = _config(at, "maxmemory-policy")
    if policy not in (None, "noeviction"):
        yield Finding(
            f"maxmemory-policy is {policy}: live events and wake-ups may vanish",
            "CONFIG SET maxmemory-policy noeviction, and in the configuration file",
        )


def persistence(at: Installation) -> Iterator[Finding]:
    """Look if what is written outlives a restart, and if it can be written at all."""
    if _config(at, "appendonly") == "no":
        yield Finding(
            "appendonly is no: a restart of Redis loses responses that are not stored",
            "CONFIG SET appendonly yes, and in the configuration file",
        )
    info = _info(at, "persistence")
    if "err" in (info.get("aof_last_write_status"), info.get("rdb_last_bgsave_status")):
        yield Finding(
            "Redis could not write to its disk", "make room on the disk of Redis; see its log"
        )


def memory(at: Installation) -> Iterator[Finding]:
    """Look if the memory of the server is nearly full."""
    info = _info(at, "memory")
    used, limit = int(info["used_memory"]), int(info.get("maxmemory", 0))
    if limit and used > _NEARLY_FULL * limit:
        yield Finding(
            f"Redis uses {used >> 20} of {limit >> 20} MiB",
            "raise maxmemory (ANTIPHON_VALKEY_MIB where `up` starts it)",
        )


def _info(at: Installation, section: str) -> dict[str, Any]:
    info: Any = at.redis.info(section)
    return dict(info)


def _config(at: Installation, name: str) -> str | None:
    """Return a value of the configuration; None where a hosted Redis does not tell."""
    from redis import ResponseError

    try:
        found: Any = at.redis.config_get(name)
    except ResponseError:
        return None
    return dict(found).get(name)
