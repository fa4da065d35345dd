"""`antiphon up`: start of all processes on one machine, their order and their addresses."""

import logging
import os
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from cli.commands.banner import render_banner
from cli.commands.preflight import check_machine, check_weights, warn_of_little_memory
from cli.embedded import EmbeddedPostgres, EmbeddedValkey
from cli.embedded.ports import is_free
from cli.embedded.roles import APP, MAINTENANCE, OWNER, ROLES
from cli.embedded.secret import load_or_create_secret
from cli.supervisor.console import StepConsole
from cli.supervisor.interpreters import worker_python
from cli.supervisor.leases import LeaseEnder
from cli.supervisor.processes import Program
from cli.supervisor.readiness import base_url, is_api_ready
from cli.supervisor.run_folder import RunFolder
from cli.supervisor.supervisor import StopRequested, Supervisor
from models.access.exposure import NoKeyError, is_loopback, may_be_open
from models.profile.weights import locate_weights, served_model_id
from models.settings import Settings, SettingsError
from models.store.store import Store
from models.tls import load_tls_context
from worker.engine.cpu_cores import num_cores

logger = logging.getLogger(__name__)

_EXECUTABLE = Path(__file__).parents[2] / "antiphon"
_MAX_SERVER_CRASHES = 7
"""Crashes of a server before its start fails.

Their backoff has to exceed the eight seconds for which the files of a killed server may stay
locked.
"""
_MAX_CRASHES = 3
"""Crashes of a process of our own before its start fails."""
_API_STOP_S = 15.0
"""Seconds that the API may take to stop."""
_DRAINING_API_S = 8.0
"""Seconds to wait for the port while the API of a killed supervisor still drains."""
_WORKER_STOP_EXTRA_S = 10.0
"""Seconds that a worker may take to stop, beyond its drain time."""
_HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""Environment that makes glibc allocate the memory of workers in pages of 2 MB.

glibc reads it only at the start of a process. On a virtual machine, one decode step of a single
row in bfloat16 takes a fifth less time with it (bench/RESULTS.md).
"""


def run(settings: Settings) -> None:
    """Start all processes, print the banner and supervise until a stop signal; stop in order.

    Raises `SettingsError`, `AlreadyRunningError`, `EmbeddedServerError` or `ChildFailedError`.
    """
    load_tls_context(settings)
    _refuse_without_keys(settings)
    check_machine(settings)
    worker_python(settings)
    check_weights(settings)
    folder = RunFolder(settings.data_dir)
    with folder.lock():
        _check_port(settings)
        _log_to(folder.log_path("supervisor"))
        warn_of_little_memory(settings)
        env = dict(os.environ) | {"ANTIPHON_DATA_DIR": str(settings.data_dir)}
        # For the workers alone: the API sees one project at a time.
        env.pop("DATABASE_MAINTENANCE_URL", None)
        leases = LeaseEnder()
        with Supervisor(folder, leases.on_death) as supervisor:
            try:
                _Startup(settings, folder, supervisor, env, leases).run()
            except StopRequested:
                logger.warning("stopping")


class _Startup:
    """Startup sequence of the server."""

    def __init__(
        self,
        settings: Settings,
        folder: RunFolder,
        supervisor: Supervisor,
        env: dict[str, str],
        leases: LeaseEnder,
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._supervisor = supervisor
        self._console = StepConsole(Console())
        self._env = env
        self._leases = leases
        self._database_urls: dict[str, str] = {}
        """Address of the database by role."""

    def run(self) -> None:
        self._fetch_weights()
        self._start_servers()
        with self._console.step("migrating the database"):
            migrate = self._program("migrate", "migrate")
            self._supervisor.run_once(self._as_role(OWNER, migrate))
        has_key = self._has_key()
        if not has_key and not may_be_open(self._settings):
            raise SettingsError(str(NoKeyError(self._settings.host)))
        models = [served_model_id(model) for model in self._settings.split_by_model()]
        with self._console.step(f"loading the weights of {', '.join(models)}"):
            self._start_processes()
            self._supervisor.wait(lambda: is_api_ready(self._settings), max_crashes=_MAX_CRASHES)
        data_dir = str(self._settings.data_dir)
        access = {"has_key": has_key, "is_on_loopback": is_loopback(self._settings.host)}
        self._console.say(render_banner(base_url(self._settings), models, data_dir, **access))
        self._supervisor.run_forever()

    def _has_key(self) -> bool:
        url = Settings(database_url=self._database_urls[APP]).database_url
        assert url is not None
        with closing(Store.open(url, pool_size=1)) as store:
            return store.api_keys.any_exists()

    def _fetch_weights(self) -> None:
        served = map(locate_weights, self._settings.split_by_model())
        if self._settings.engine == "scripted" or all(weights.is_ready for weights in served):
            return
        # In a child process: the supervisor must neither import torch nor keep its memory.
        self._supervisor.run_once(self._program("weights", "models", "pull"), inherits_output=True)

    def _start_servers(self) -> None:
        settings = self._settings
        more = {"ANTIPHON_URL": base_url(settings)}
        if settings.database_url:
            self._database_urls = dict.fromkeys(ROLES, settings.database_url)
            if settings.database_maintenance_url:
                self._database_urls[MAINTENANCE] = settings.database_maintenance_url
        else:
            more["DATABASE_ADMIN_URL"] = self._start_postgres()
            self._create_secret_file()
        addresses = {
            "DATABASE_URL": self._database_urls[APP],
            "REDIS_URL": settings.redis_url or self._start_valkey(),
        }
        if "ANTIPHON_SECRET_FILE" in self._env:
            more["ANTIPHON_SECRET_FILE"] = self._env["ANTIPHON_SECRET_FILE"]
        if settings.content_keys_file is not None:
            more["ANTIPHON_CONTENT_KEYS_FILE"] = str(settings.content_keys_file)
        self._env |= addresses
        self._leases.redis_url = addresses["REDIS_URL"]
        self._leases.database_url = more["DATABASE_MAINTENANCE_URL"] = self._database_urls[
            MAINTENANCE
        ]
        self._folder.write_env(addresses | more)

    def _create_secret_file(self) -> None:
        """Create the file with the key of the secrets in the database of this machine."""
        path = self._settings.secret_file or self._settings.data_dir / "secret"
        load_or_create_secret(path)
        self._env["ANTIPHON_SECRET_FILE"] = str(path)

    def _start_postgres(self) -> str:
        """Start Postgres with an address for each role; return the superuser's."""
        log = self._folder.log_path(EmbeddedPostgres.name)
        server = EmbeddedPostgres(self._settings.data_dir, log=log)
        self._start_server(server)
        server.create_roles()
        self._database_urls = {role: server.url_of(role) for role in ROLES}
        return server.url

    def _start_valkey(self) -> str:
        settings, log = self._settings, self._folder.log_path(EmbeddedValkey.name)
        server = EmbeddedValkey(settings.data_dir, log=log, max_mib=settings.valkey_mib)
        self._start_server(server)
        return server.url

    def _start_server(self, server: EmbeddedPostgres | EmbeddedValkey) -> None:
        with self._console.step(f"starting {server.name}"):
            server.prepare()
            self._supervisor.start(server.program)
            self._supervisor.wait(server.is_ready, max_crashes=_MAX_SERVER_CRASHES)

    def _start_processes(self) -> None:
        stop_s = self._settings.drain_seconds + _WORKER_STOP_EXTRA_S
        models = [
            served.model for served in self._settings.split_by_model()
        ] * self._settings.workers
        if self._settings.threads is None:
            # The cores are divided evenly among the workers.
            self._env["ANTIPHON_THREADS"] = str(max(1, num_cores() // len(models)))
        for number, model in enumerate(models, start=1):
            name = f"worker-{number}"
            arguments = ("worker", "--name", name, "--model", model)
            program = self._program_with_pulse(name, *arguments, stop_s=stop_s)
            argv = (worker_python(self._settings), *program.argv[1:])
            upkeep = {"DATABASE_MAINTENANCE_URL": self._database_urls[MAINTENANCE]}
            self._supervisor.start(
                replace(program, argv=argv, env=_HUGE_PAGES | self._env | upkeep)
            )
        maintenance = self._program_with_pulse("maintenance", "maintenance")
        self._supervisor.start(self._as_role(MAINTENANCE, maintenance))
        self._supervisor.start(self._program("api", "api", stop_s=_API_STOP_S))

    def _as_role(self, role: str, program: Program) -> Program:
        """Return the program with the database address of another role than the application's."""
        return replace(program, env=self._env | {"DATABASE_URL": self._database_urls[role]})

    def _program(self, name: str, *arguments: str, stop_s: float = 10.0) -> Program:
        argv = (sys.executable, str(_EXECUTABLE), *arguments)
        return Program(name=name, argv=argv, env=self._env, stop_timeout_s=stop_s)

    def _program_with_pulse(self, name: str, *arguments: str, stop_s: float = 10.0) -> Program:
        """Return an `antiphon` command that is given a liveness file to touch."""
        pulse = self._folder.pulse_path(name)
        program = self._program(name, *arguments, "--pulse", str(pulse), stop_s=stop_s)
        return replace(program, pulse=pulse)


def _refuse_without_keys(settings: Settings) -> None:
    """Raise `SettingsError` before anything starts if a server of its own cannot have a key.

    Keys need the secret file, which is made when such a server first starts.
    """
    secret_file = settings.secret_file or settings.data_dir / "secret"
    is_new = settings.database_url is None and not secret_file.exists()
    if is_new and settings.bootstrap_key_file is None and not may_be_open(settings):
        raise SettingsError(str(NoKeyError(settings.host)))


def _check_port(settings: Settings) -> None:
    """Raise `SettingsError` if the port is taken.

    The API of a killed supervisor keeps the port while it drains: wait that long for it.
    """
    deadline = time.monotonic() + _DRAINING_API_S
    while not is_free(settings.host, settings.port):
        if time.monotonic() < deadline:
            time.sleep(0.2)
            continue
        raise SettingsError(
            f"ANTIPHON_PORT={settings.port}: another program listens on "
            f"{settings.host}:{settings.port}; stop it, or choose another port: "
            f"ANTIPHON_PORT={settings.port + 1} ./antiphon up"
        )


def _log_to(path: Path) -> None:
    """Log to the file at `path`, warnings to the terminal too."""
    file = logging.FileHandler(path)
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setLevel(logging.WARNING)
    terminal.setFormatter(logging.Formatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=(file, terminal))
