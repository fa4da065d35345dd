"""`antiphon up`: which processes one machine needs, in which order, on which addresses."""

import logging
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from cli.commands.banner import render_banner
from cli.embedded import EmbeddedPostgres, EmbeddedValkey
from cli.embedded.ports import is_free
from cli.supervisor.console import StepConsole
from cli.supervisor.leases import LeaseEnder
from cli.supervisor.processes import Program
from cli.supervisor.readiness import base_url, is_api_ready, is_loopback
from cli.supervisor.run_folder import RunFolder
from cli.supervisor.supervisor import StopRequested, Supervisor
from models.profile.weights import locate_weights, served_model_id
from models.settings import Settings, SettingsError
from worker.engine.cpu_cores import num_cores

logger = logging.getLogger(__name__)

_EXECUTABLE = Path(__file__).parents[2] / "antiphon"
_MAX_SERVER_CRASHES = 7
"""Eight seconds of back-off: so long may the files of a killed server be held."""
_MAX_CRASHES = 3
_API_STOP_S = 15.0
_DRAINING_API_S = 8.0
_WORKER_STOP_EXTRA_S = 10.0
_HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""Memory of workers in pages of 2 MB, which the C library has to be told before it starts: on a
virtual machine one row in bfloat16 takes a fifth less time (bench/RESULTS.md)."""


def run(settings: Settings) -> None:
    """Start everything, show the banner and watch until a stop signal; then stop in order.

    Raises `SettingsError`, `AlreadyRunningError`, `EmbeddedServerError` or `ChildFailedError`.
    """
    if not is_loopback(settings.host):
        raise SettingsError(
            f"ANTIPHON_HOST={settings.host!r}: the server has no keys yet, so it only listens on "
            "loopback addresses"
        )
    folder = RunFolder(settings.data_dir)
    with folder.locked():
        _check_port(settings)
        _log_to(folder.log_path("supervisor"))
        env = dict(os.environ) | {"ANTIPHON_DATA_DIR": str(settings.data_dir)}
        with Supervisor(folder, LeaseEnder(env).on_death) as supervisor:
            try:
                _Up(settings, folder, supervisor, env).run()
            except StopRequested:
                logger.warning("stopping")


class _Up:
    """One start, step by step."""

    def __init__(
        self, settings: Settings, folder: RunFolder, supervisor: Supervisor, env: dict[str, str]
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._supervisor = supervisor
        self._console = StepConsole(Console())
        self._env = env

    def run(self) -> None:
        self._fetch_weights()
        self._start_servers()
        with self._console.step("migrating the database"):
            self._supervisor.run_once(self._own("migrate", "migrate"))
        with self._console.step("loading the weights"):
            self._start_own()
            self._supervisor.wait(lambda: is_api_ready(self._settings), max_crashes=_MAX_CRASHES)
        models = [served_model_id(each) for each in self._settings.each_model()]
        data_dir = str(self._settings.data_dir)
        self._console.say(render_banner(base_url(self._settings), models, data_dir))
        self._supervisor.run_forever()

    def _fetch_weights(self) -> None:
        served = map(locate_weights, self._settings.each_model())
        if self._settings.engine == "scripted" or all(each.is_ready for each in served):
            return
        # In a child: neither torch nor what it leaves behind belongs into the supervisor.
        self._supervisor.run_once(self._own("weights", "models", "pull"), inherits_output=True)

    def _start_servers(self) -> None:
        settings = self._settings
        addresses = {
            "DATABASE_URL": settings.database_url or self._start_server(EmbeddedPostgres),
            "REDIS_URL": settings.redis_url or self._start_server(EmbeddedValkey),
        }
        self._env |= addresses
        self._folder.write_env(addresses | {"ANTIPHON_URL": base_url(settings)})

    def _start_server(self, kind: type[EmbeddedPostgres] | type[EmbeddedValkey]) -> str:
        """Start a server of our own and give its address."""
        server = kind(self._settings.data_dir, log=self._folder.log_path(kind.name))
        with self._console.step(f"starting {kind.name}"):
            server.prepare()
            self._supervisor.start(server.program)
            self._supervisor.wait(server.is_ready, max_crashes=_MAX_SERVER_CRASHES)
        return server.url

    def _start_own(self) -> None:
        stop_s = self._settings.drain_seconds + _WORKER_STOP_EXTRA_S
        models = [each.model for each in self._settings.each_model()] * self._settings.workers
        if self._settings.threads is None:
            # The cores are shared out; a worker alone takes all of them.
            self._env["ANTIPHON_THREADS"] = str(max(1, num_cores() // len(models)))
        for number, model in enumerate(models, start=1):
            name = f"worker-{number}"
            arguments = ("worker", "--name", name, "--model", model)
            program = self._watched(name, *arguments, stop_s=stop_s)
            self._supervisor.start(replace(program, env=_HUGE_PAGES | self._env))
        self._supervisor.start(self._watched("maintenance", "maintenance"))
        self._supervisor.start(self._own("api", "api", stop_s=_API_STOP_S))

    def _own(self, name: str, *arguments: str, stop_s: float = 10.0) -> Program:
        argv = (sys.executable, str(_EXECUTABLE), *arguments)
        return Program(name=name, argv=argv, env=self._env, stop_timeout_s=stop_s)

    def _watched(self, name: str, *arguments: str, stop_s: float = 10.0) -> Program:
        """One that shows by a pulse that it is well."""
        pulse = self._folder.pulse_path(name)
        program = self._own(name, *arguments, "--pulse", str(pulse), stop_s=stop_s)
        return replace(program, pulse=pulse)


def _check_port(settings: Settings) -> None:
    """After a kill of the supervisor its API drains for a while: wait that long for the port."""
    deadline = time.monotonic() + _DRAINING_API_S
    while not is_free(settings.host, settings.port):
        if time.monotonic() < deadline:
            time.sleep(0.2)
            continue
        raise SettingsError(
            f"ANTIPHON_PORT={settings.port}: another program listens on "
            f"{settings.host}:{settings.port}"
        )


def _log_to(path: Path) -> None:
    """The supervisor's own log, with warnings also on the terminal."""
    file = logging.FileHandler(path)
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setLevel(logging.WARNING)
    terminal.setFormatter(logging.Formatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=(file, terminal))
