"""Begin and end of refusals on a cluster, whatever else happens to its servers meanwhile."""

import contextlib
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
import redis

from tests.chaos.cluster import Cluster
from tests.chaos.refusals import OTHER_PASSWORD, POOLER, POSTGRES, VALKEY
from tests.pgbouncer import PgBouncer

_MEND_FOR_S = 20.0
_MEND_ALL_FOR_S = 60.0
_FROZEN_S = 12.0
"""Timeout of a kept connection in seconds: longer than the nemesis freezes a server."""
_RETRY_S = 0.2


class Refusals:
    """Refusals in force, and the connections that are kept open to mend them."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._kept: dict[str, psycopg.Connection | redis.Redis | None] = {}

    def strike(self, name: str) -> bool:
        """Begin a refusal; return False if it is in force already or the server is away."""
        if name in self._kept:
            return False
        try:
            if name == POOLER:
                self._kept[name] = None
                self._pooler.stop()
            elif name in POSTGRES:
                self._kept[name] = connection = self._open_postgres(name)
                for statement in POSTGRES[name].strike:
                    connection.execute(statement.encode())
            else:
                self._kept[name] = client = self._open_valkey()
                VALKEY[name].strike(client)
        except (psycopg.Error, redis.RedisError, OSError):
            return name in self._kept
        return True

    def mend(self, name: str, *, within_s: float = _MEND_FOR_S) -> bool:
        """End a refusal, with tries until the server is there; return False if it was not on."""
        deadline = time.monotonic() + within_s
        while name in self._kept:
            try:
                self._mend(name)
            except (psycopg.Error, redis.RedisError, OSError):
                if time.monotonic() > deadline:
                    return False
                self._kept[name] = None
                time.sleep(_RETRY_S)
            else:
                del self._kept[name]
                return True
        return False

    def mend_all(self) -> None:
        """End every refusal."""
        for name in list(self._kept):
            assert self.mend(name, within_s=_MEND_ALL_FOR_S), f"{name} was not mended"

    @property
    def _pooler(self) -> PgBouncer:
        assert self._cluster.pooler is not None
        return self._cluster.pooler

    def _mend(self, name: str) -> None:
        if name == POOLER:
            self._pooler.start()
        elif name in POSTGRES:
            self._mend_postgres(name)
        else:
            self._mend_valkey(name)

    def _mend_postgres(self, name: str) -> None:
        kept = self._kept[name]
        connection = kept if isinstance(kept, psycopg.Connection) else self._open_postgres(name)
        with contextlib.closing(connection):
            for statement in POSTGRES[name].mend:
                connection.execute(statement.encode())

    def _mend_valkey(self, name: str) -> None:
        kept = self._kept[name]
        openers: list[Callable[[], object]] = [
            lambda: kept,
            self._open_valkey,
            partial(self._open_valkey, OTHER_PASSWORD),
        ]
        for open_client in openers:
            with contextlib.suppress(redis.AuthenticationError):
                client = open_client()
                if isinstance(client, redis.Redis):
                    with contextlib.closing(client):
                        VALKEY[name].mend(client, self._address["password"])
                        return
        raise redis.AuthenticationError(name)

    @property
    def _address(self) -> dict[str, Any]:
        return dict(self._cluster.redis().connection_pool.connection_kwargs)

    def _open_postgres(self, name: str) -> psycopg.Connection:
        connection = self._cluster.database(POSTGRES[name].database)
        connection.execute("SET default_transaction_read_only = off")
        return connection

    def _open_valkey(self, password: str | None = None) -> redis.Redis:
        """Return a client with one connection, which no refusal ends."""
        return redis.Redis(
            self._address["host"],
            self._address["port"],
            password=password or self._address["password"],
            single_connection_client=True,
            socket_timeout=_FROZEN_S,
        )
