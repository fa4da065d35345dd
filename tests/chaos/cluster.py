"""System under test: `./antiphon up` with several workers, in a temporary folder."""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import redis

from models.profile.weights import SCRIPTED_MODEL
from tests.acceptance.server import AntiphonServer
from tests.chaos.build import MUTANT, PYTHONPATH
from tests.chaos.plan import SCRIPT_TOKENS
from tests.chaos.web import Http
from tests.chaos.worker_kills import WorkerKills, read_kills
from tests.pgbouncer import PgBouncer
from tests.polling import eventually

MAX_SEQUENCES = 16
"""Responses that one worker runs at a time, at most."""
_GONE_S = 30.0
_CLEAN_EXIT = re.compile(r" (\S+) exited with code 0;")
_LEASES = "SELECT count(*) FROM workers WHERE lease_until > now()"


class Cluster(AntiphonServer):
    """Supervisor and its child processes, all with the test build."""

    def __init__(
        self, data_dir: Path, *, mutant: str | None = None, env: dict[str, str], **settings: str
    ) -> None:
        super().__init__(data_dir, command=None, **settings)
        self.environment |= {"PYTHONPATH": PYTHONPATH, **env}
        self.model_id = Path(settings["model"]).name if "model" in settings else SCRIPTED_MODEL
        self.pooler: PgBouncer | None = None
        """Pooler before the database, if there is one."""
        if mutant is not None:
            self.environment[MUTANT] = mutant

    @property
    def web(self) -> Http:
        """HTTP client of the API."""
        return Http("127.0.0.1", self.port)

    def pids(self, name: str) -> list[int]:
        """Return the process ids of a part: one, none if it is down, any number of `api-child`.

        A `worker-1-rank` is a process in which vLLM computes a part of worker 1's model.
        """
        if name == "supervisor":
            assert self.process is not None
            return [self.process.pid] if self.process.poll() is None else []
        try:
            pid = self.pid(name.removesuffix("-child").removesuffix("-rank"))
        except (FileNotFoundError, ValueError):
            return []
        if name.endswith("-rank"):
            return [child for child in _children(pid) if _is_rank(child)]
        return _children(pid) if name.endswith("-child") else [pid]

    def serving_ranks(self, worker: str) -> tuple[int, list[int]]:
        """Return the process id of a worker, and those of its ranks if they serve, or else none.

        They do once the worker has touched its liveness file, which the supervisor deletes before
        it starts another one, until one of them is gone: a model is shared over two at least.
        """
        pids, ranks = self.pids(worker), self.pids(f"{worker}-rank")
        is_ready = (self.data_dir / "run" / f"{worker}.pulse").exists()
        return (pids[0] if pids else 0), (ranks if is_ready and len(ranks) > 1 else [])

    def signal(self, name: str, number: int, index: int = 0) -> bool:
        """Send a signal to a part, or to its child at `index`; return False if it is not up."""
        pids = self.pids(name)
        if not pids:
            return False
        try:
            os.kill(pids[index % len(pids)], number)
        except ProcessLookupError:
            return False
        return True

    def wake_all(self) -> None:
        """Send SIGCONT to every process that may have been stopped."""
        names = [path.stem for path in (self.data_dir / "run").glob("*.pid")]
        for name in ("supervisor", *names):
            self.signal(name, signal.SIGCONT)
        for index in range(len(self.pids("api-child"))):
            self.signal("api-child", signal.SIGCONT, index)

    def is_up(self) -> bool:
        """Return True if the supervisor is running."""
        return self.process is not None and self.process.poll() is None

    def start_again(self) -> None:
        """Start the supervisor after it was killed; does not wait until it is ready."""
        assert self.process is not None
        self.process.wait()
        with self._output.open("ab") as output:
            self.process = subprocess.Popen(
                self._command, env=self.environment, stdout=output, stderr=subprocess.STDOUT
            )

    def heal(self) -> None:
        """Bring everything up again, the supervisor included, and wait until it is ready.

        A server may be ready while a part is stopped: Postgres, while connections are open.
        """
        self.wake_all()
        deadline = time.monotonic() + self.start_s
        while not self.is_ready():
            self.wake_all()
            if not self.is_up():
                self.start_again()
            assert time.monotonic() < deadline, f"not ready again:\n{self.output[-2000:]}"
            time.sleep(0.2)

    def database(self, name: str = "postgres", *, connect_timeout_s: int = 5) -> psycopg.Connection:
        """Open a superuser's connection in autocommit mode, for observers and the nemesis."""
        addresses = self._addresses()
        url = addresses.get("DATABASE_ADMIN_URL", addresses["DATABASE_URL"])
        url = url.replace("+psycopg", "", 1)
        return psycopg.connect(url, dbname=name, autocommit=True, connect_timeout=connect_timeout_s)

    def redis(self, **options: Any) -> redis.Redis:
        """Open a Redis client, for observers and the nemesis."""
        return redis.Redis.from_url(
            self._addresses()["REDIS_URL"], **{"socket_timeout": 2, **options}
        )

    def workers(self) -> list[str]:
        """Return the names of the workers that are up."""
        return sorted(path.stem for path in (self.data_dir / "run").glob("worker-*.pid"))

    def num_leases(self) -> int:
        """Return the number of workers with a valid lease."""
        with self.database() as connection:
            found = connection.execute(_LEASES).fetchone()
        return int(found[0]) if found else 0

    def hang(self, name: str) -> None:
        """Hang the engine of a worker, while its other threads run on (see `build`)."""
        self.order("hang", name)

    def order(self, what: str, name: str) -> None:
        """Make a worker misbehave, as the test build can (see `build`)."""
        (self.data_dir / f"{what}-{self.pid(name)}").touch()

    def num_clean_exits(self) -> dict[str, int]:
        """Return the number of exits with code 0, by part, that the supervisor has seen."""
        return Counter(_CLEAN_EXIT.findall(self._supervisor_log.read_text()))

    def worker_kills(self) -> WorkerKills:
        """Return the workers that were killed, as the supervisor has seen it."""
        return read_kills(self._supervisor_log)

    def num_orphans(self, *, within_s: float) -> int:
        """Return the processes that are left without a supervisor, once there are none or later."""
        deadline = time.monotonic() + within_s
        while (orphans := self._orphans()) and time.monotonic() < deadline:
            time.sleep(0.5)
        return len(orphans)

    def _orphans(self) -> list[int]:
        ours = [pid for pid in _all_pids() if _names(pid, self.data_dir) and _is_alive(pid)]
        ours = [pid for pid in ours if pid not in self.pids("supervisor")]
        return [pid for pid in ours if _parent(pid) == 1]

    @property
    def _supervisor_log(self) -> Path:
        return self.data_dir / "log" / "supervisor.log"

    def _addresses(self) -> dict[str, str]:
        words = shlex.split((self.data_dir / "run" / "env").read_text())
        return dict(word.split("=", 1) for word in words)

    def end(self) -> None:
        """Stop all processes, with SIGKILL if needed, and delete the folder."""
        self.wake_all()
        if self.is_up():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.stop()
        if self.is_up():
            self.stop(signal.SIGKILL)
        # Also end processes that a killed supervisor left behind, and those that are stopped.
        pids = [pid for pid in _all_pids() if _names(pid, self.data_dir)]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        eventually(lambda: not any(map(_is_alive, pids)), within_s=_GONE_S)
        shutil.rmtree(self.data_dir)


@contextlib.contextmanager
def running(
    *,
    num_workers: int = 4,
    mutant: str | None = None,
    env: dict[str, str] | None = None,
    pooler: PgBouncer | None = None,
    **settings: str,
) -> Iterator[Cluster]:
    """Start a cluster with the scripted engine; stop it and delete its folder after.

    Its database is the one behind `pooler`, or else one of its own.
    """
    data_dir = Path(tempfile.mkdtemp(prefix="antiphon-chaos-"))
    # If we are root, Postgres runs as another user, who needs to traverse this folder.
    data_dir.chmod(0o755)
    defaults = {
        "engine": "scripted",
        "workers": str(num_workers),
        "api_processes": "2",
        "api_threads": "128",
        "max_sequences": str(MAX_SEQUENCES),
        "script_tokens": str(SCRIPT_TOKENS),
        "script_interval_ms": "20",
        "drain_seconds": "1",
    }
    database = {"DATABASE_URL": pooler.url} if pooler else {}
    cluster = Cluster(data_dir, mutant=mutant, env=database | (env or {}), **(defaults | settings))
    cluster.pooler = pooler
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.end()


def _children(pid: int) -> list[int]:
    try:
        lists = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return sorted(int(child) for children in lists for child in children.split())


def _is_rank(pid: int) -> bool:
    """Return True for a process that vLLM has started; it names itself once it has begun."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"VLLM::" in command or b"spawn_main" in command


def _parent(pid: int) -> int:
    """Return the parent of a process, 0 if it is gone."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(after_name[1])


def _pid_in(path: Path) -> list[int]:
    try:
        return [int(path.read_text())]
    except (FileNotFoundError, ValueError):
        return []


def _all_pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _names(pid: int, folder: Path) -> bool:
    """Return True if a process has the folder in its environment or command line."""
    try:
        about = [Path(f"/proc/{pid}/{name}").read_bytes() for name in ("environ", "cmdline")]
    except OSError:
        return False
    return pid != os.getpid() and any(os.fsencode(folder) in text for text in about)


def _is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
