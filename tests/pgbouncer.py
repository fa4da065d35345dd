"""PgBouncer in transaction mode in front of a Postgres server, where it is installed."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy.engine import make_url

from cli.embedded import EmbeddedPostgres
from cli.embedded.accounts import unprivileged_account
from cli.embedded.ports import free_port
from cli.supervisor.processes import Program, account_options, stop_all
from tests.polling import eventually

BINARY = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")
"""None if it is not installed: no wheel has it, only packages of the operating system."""

_CONFIG = """\
[databases]
{database} = host={host} port={port} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen_port}
auth_type = any
pool_mode = transaction
max_client_conn = 500
default_pool_size = 40
"""


class PgBouncer:
    """Pooler of one database, which can be restarted at the same address."""

    def __init__(self, database_url: str) -> None:
        assert BINARY is not None
        self._target = make_url(database_url)
        self._folder = Path(tempfile.mkdtemp(prefix="antiphon-pgbouncer-"))
        self._folder.chmod(0o755)
        self.port = free_port()
        config = self._folder / "pgbouncer.ini"
        config.write_text(
            _CONFIG.format(
                database=self._target.database,
                host=self._target.host,
                port=self._target.port,
                user=self._target.username,
                password=self._target.password,
                listen_port=self.port,
            )
        )
        # It refuses to run as root.
        account = unprivileged_account(self._folder / "none")
        self._program = Program(name="pgbouncer", argv=(BINARY, str(config)), account=account)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Address of the same database, through the pooler."""
        pooled = self._target.set(host="127.0.0.1", port=self.port)
        return pooled.render_as_string(hide_password=False)

    def start(self) -> None:
        """Start it and wait until it listens."""
        # Not by `spawn`, whose child ends with the thread that started it.
        with (self._folder / "log").open("ab") as output:
            self._process = subprocess.Popen(
                self._program.argv,
                stdout=output,
                stderr=output,
                start_new_session=True,
                **account_options(self._program.account),
            )
        eventually(self._listens)

    def stop(self) -> None:
        """Stop it, which ends every connection."""
        if self._process is not None:
            stop_all([(self._program, self._process)])
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    @classmethod
    @contextlib.contextmanager
    def with_postgres(cls) -> Iterator[Self]:
        """Start a pooler and a database server of its own; stop and delete both after."""
        folder = Path(tempfile.mkdtemp(prefix="antiphon-pooled-"))
        folder.chmod(0o755)
        postgres = EmbeddedPostgres(folder)
        try:
            with postgres, cls(postgres.url) as pooler:
                yield pooler
        finally:
            postgres.discard()
            shutil.rmtree(folder)

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True
