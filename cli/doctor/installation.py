"""The installation that the checks look at: its settings, files, servers and processes."""

from __future__ import annotations

import fcntl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.doctor.finding import NotApplicable
from cli.supervisor.run_folder import read_env

if TYPE_CHECKING:
    import psycopg
    from redis import Redis

    from models.settings import Settings

TIMEOUT_S = 5
"""Seconds that a server may take to answer."""


@dataclass
class Installation:
    """Settings of this machine, with what they lead to; nothing is opened before it is needed."""

    settings: Settings
    environ: Mapping[str, str] = field(default_factory=dict)
    proc: Path = Path("/proc")
    """Folder in which the kernel says how much memory there is."""
    _opened: list[Any] = field(default_factory=list)

    @cached_property
    def run_env(self) -> dict[str, str]:
        """Addresses that a running `up` has written; none if none runs."""
        return read_env(self.settings.data_dir)

    @cached_property
    def is_running(self) -> bool:
        """True if a supervisor holds the lock of the data folder."""
        path = self.settings.data_dir / "run" / "supervisor.lock"
        try:
            with path.open() as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    @property
    def database_url(self) -> str:
        """Address of the database for the API; raise `NotApplicable` if there is none now."""
        return self._address("DATABASE_URL", self.settings.database_url)

    @property
    def maintenance_url(self) -> str:
        """Address of the database for maintenance."""
        url = self.settings.database_maintenance_url or self.run_env.get("DATABASE_MAINTENANCE_URL")
        return url or self.database_url

    @property
    def redis_url(self) -> str:
        """Address of Redis; raise `NotApplicable` if there is none now."""
        return self._address("REDIS_URL", self.settings.redis_url)

    @property
    def secret_file(self) -> Path | None:
        """File that encrypts secrets in the database; `up` has one of its own."""
        own = self.settings.data_dir / "secret"
        return self.settings.secret_file or (own if own.exists() else None)

    @cached_property
    def database(self) -> psycopg.Connection[Any]:
        """Connection as the API has it; raise `NotApplicable` if the database does not answer."""
        return self._connect(self.database_url)

    @cached_property
    def maintenance_database(self) -> psycopg.Connection[Any]:
        """Connection as workers and maintenance have it."""
        return self._connect(self.maintenance_url)

    @cached_property
    def redis(self) -> Redis:
        """Client of Redis; raise `NotApplicable` if it does not answer."""
        from redis import Redis, RedisError

        client = Redis.from_url(
            self.redis_url, socket_timeout=TIMEOUT_S, retry=None, decode_responses=True
        )
        self._opened.append(client)
        try:
            client.ping()
        except RedisError as error:
            raise NotApplicable("Redis does not answer") from error
        return client

    def query(self, statement: str, *values: object, upkeep: bool = False) -> list[Any]:
        """Return the rows of a statement, over all projects with `upkeep`."""
        connection = self.maintenance_database if upkeep else self.database
        with connection.transaction():
            if upkeep:
                connection.execute("SELECT set_config('antiphon.project', '*', true)")
            return connection.execute(statement.encode(), values).fetchall()

    def close(self) -> None:
        """Close what was opened."""
        for opened in self._opened:
            opened.close()

    def _address(self, variable: str, given: str | None) -> str:
        if url := given or self.run_env.get(variable):
            return url
        raise NotApplicable("no server runs here: ./antiphon up starts one")

    def _connect(self, url: str) -> psycopg.Connection[Any]:
        import psycopg

        try:
            connection = psycopg.connect(
                driver_url(url), connect_timeout=TIMEOUT_S, autocommit=True
            )
        except psycopg.Error as error:
            raise NotApplicable("the database does not answer") from error
        self._opened.append(connection)
        return connection


def driver_url(url: str) -> str:
    """Return the address as libpq reads it."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)
