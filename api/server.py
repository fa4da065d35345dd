"""Gunicorn server: a few processes; each creates its app and its event loop after the fork."""

import os
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication

from api.app import create_app
from api.cpu_affinity import bind_to_core, choose_core
from api.serving.garbage import collect_rarely
from api.serving.worker import LoopWorker
from models.access.exposure import NoKeyError, may_be_open
from models.background_thread import BackgroundThread
from models.errors import UnavailableError
from models.logging import configure_logging
from models.settings import Settings, SettingsError
from models.store.store import Store
from models.tls import load_tls_context
from models.tracing.tracer import TRACER

_SHARED_MEMORY = Path("/dev/shm")
_GRACE_S = 5
"""Seconds that requests may still take once the server has been told to stop."""


class Server(BaseApplication):  # type: ignore[misc]
    """Gunicorn application, configured by Antiphon's settings alone."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        """Set gunicorn's options."""
        settings = self._settings
        options: dict[str, object] = {
            "bind": f"{settings.host}:{settings.port}",
            "worker_class": LoopWorker,
            "workers": settings.api_processes,
            "backlog": 2048,
            "timeout": 60,
            "graceful_timeout": _GRACE_S,
            "loglevel": settings.log_level.lower(),
            "control_socket_disable": True,
        }
        if settings.api_bound and hasattr(os, "sched_setaffinity"):
            options |= {"pre_fork": choose_core, "post_fork": bind_to_core}
        if _SHARED_MEMORY.is_dir():
            # Heartbeats are files: on a disk, a slow write would look like a hung process.
            options["worker_tmp_dir"] = str(_SHARED_MEMORY)
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """Create the app; gunicorn calls this in every server process."""
        configure_logging(self._settings.log_level)
        TRACER.turn_on(self._settings, "api")
        end_with_parent()
        app = create_app(self._settings)
        app.extensions["antiphon"].warm_up()
        # Objects loaded by now live as long as the process.
        collect_rarely()
        return app


def end_with_parent(grace_s: float = _GRACE_S) -> None:
    """Start a thread that exits this process soon after its master exits, despite open streams.

    Otherwise the process would run until its last stream ended. If the master was killed, the
    database may have been killed too and be back at another address: clients would then wait here
    for ever. Requests may still take `grace_s` seconds.
    """
    parent = os.getppid()

    def exit_if_orphaned() -> None:
        if os.getppid() != parent:
            time.sleep(grace_s)
            os._exit(1)

    BackgroundThread("parent", exit_if_orphaned, interval_s=1, is_immediate=True).start()


def serve(settings: Settings) -> None:
    """Serve HTTP until SIGTERM.

    Raises `SettingsError` if the files of TLS cannot be used, and for an address that no server
    without a key may listen on.
    """
    load_tls_context(settings)
    _check_exposure(settings)
    configure_logging(settings.log_level)
    if settings.engine != "scripted":
        # The import takes seconds: do it once, before the fork, and only if text is tokenised.
        import models.grammars.validate  # noqa: F401
    Server(settings).run()


def _check_exposure(settings: Settings) -> None:
    """Raise `SettingsError` if nobody could use the server, because no key exists.

    While the database is away nobody knows: the server then starts, and lets in who has a key.
    """
    if may_be_open(settings):
        return
    assert settings.database_url is not None
    with closing(Store.open(settings.database_url, pool_size=1)) as store:
        try:
            has_key = store.api_keys.any_exists()
        except UnavailableError:
            return
    if not has_key:
        raise SettingsError(str(NoKeyError(settings.host)))
