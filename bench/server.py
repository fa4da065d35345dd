"""Server under load: a new one in a temporary folder, or one that already runs.

Knows the server's addresses and its CPU time, nothing of what is measured.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cli.embedded.ports import free_port

ROOT = Path(__file__).parents[1]
START_S = 180.0
STOP_S = 60.0
_POLL_S = 0.1
_OWN_VARIABLES = ("DATABASE_URL", "DATABASE_MAINTENANCE_URL", "REDIS_URL")
"""Variables not passed on, so that the made-up responses go to a database of their own."""


class BenchError(Exception):
    """Measurement that cannot be made; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Addresses and data folder of a running server; None if unknown."""

    url: str
    database_url: str | None = None
    redis_url: str | None = None
    data_dir: Path | None = None
    maintenance_url: str | None = None
    """Address of the database for upkeep; like the next one, of a server started here."""
    admin_url: str | None = None
    """The same for a superuser, whom no policy restricts."""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the API."""
        host, _, port = self.url.removeprefix("http://").rstrip("/").partition(":")
        return host, int(port or 80)

    @property
    def pid(self) -> int:
        """Process id of the supervisor; only for a server started by `own_server`."""
        assert self.data_dir is not None
        return int((self.data_dir / "run" / "supervisor.pid").read_text())

    def worker_cpu_s(self) -> float | None:
        """Return the CPU seconds that all workers have used; None for a server of others."""
        if self.data_dir is None:
            return None
        pids = [int(path.read_text()) for path in (self.data_dir / "run").glob("worker-*.pid")]
        return sum(map(_cpu_s, pids))


def running_server(base_url: str) -> Server:
    """Return a server that already runs; DATABASE_URL and REDIS_URL are its own, if set."""
    return Server(
        url=base_url,
        database_url=os.environ.get("DATABASE_URL"),
        redis_url=os.environ.get("REDIS_URL"),
    )


@contextmanager
def own_server(
    settings: dict[str, str],
    weights: Path | None = None,
    root: Path = ROOT,
    *,
    start_s: float = START_S,
) -> Iterator[Server]:
    """Start `./antiphon up` with embedded servers on a free port; delete it all after.

    `settings` are `ANTIPHON_*` variables; `weights` is a folder of weights to use; `root` is the
    checkout whose server it is. Raises `BenchError` if it does not start within `start_s` seconds.
    """
    data_dir = Path(tempfile.mkdtemp(prefix="antiphon-bench-"))
    # If we are root, Postgres runs as another user, who needs to traverse this folder.
    data_dir.chmod(0o755)
    if weights is not None:
        (data_dir / "weights").symlink_to(weights.resolve())
    port = free_port()
    environment = {name: text for name, text in os.environ.items() if name not in _OWN_VARIABLES}
    environment |= {"ANTIPHON_DATA_DIR": str(data_dir), "ANTIPHON_PORT": str(port), **settings}
    command = [sys.executable, str(root / "antiphon"), "up"]
    output = data_dir / "up.out"
    with output.open("wb") as sink:
        process = subprocess.Popen(
            command, env=environment, cwd=root, stdout=sink, stderr=subprocess.STDOUT
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_ready(url, process, output, start_s)
        words = shlex.split((data_dir / "run" / "env").read_text())
        addresses = dict(word.split("=", 1) for word in words)
        yield Server(
            url=url,
            database_url=addresses["DATABASE_URL"],
            redis_url=addresses["REDIS_URL"],
            data_dir=data_dir,
            maintenance_url=addresses["DATABASE_MAINTENANCE_URL"],
            admin_url=addresses["DATABASE_ADMIN_URL"],
        )
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_S)
        shutil.rmtree(data_dir)


def _wait_ready(url: str, process: "subprocess.Popen[bytes]", output: Path, start_s: float) -> None:
    deadline = time.monotonic() + start_s
    while not _is_ready(url):
        if process.poll() is not None or time.monotonic() > deadline:
            raise BenchError(f"the server does not come up:\n{output.read_text()[-2000:]}")
        time.sleep(_POLL_S)


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _cpu_s(pid: int) -> float:
    """Return the user and system CPU seconds of a process from /proc (proc_pid_stat(5))."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")
