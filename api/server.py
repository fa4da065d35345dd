"""gunicorn around the app: a few processes, many threads, one app made in each after the fork."""

import gc
import os
import threading
import time
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication

from api.app import create_app
from api.cpu_affinity import bind_to_core, choose_core
from models.logging import configure_logging
from models.settings import Settings

_SHARED_MEMORY = Path("/dev/shm")
_GRACE_S = 5
"""How long requests may still take once the server is to stop."""


class Server(BaseApplication):  # type: ignore[misc]
    """gunicorn, configured by our settings alone."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        """Streams hold a thread each, so there are many; the rest is bounded in time."""
        settings = self._settings
        options: dict[str, object] = {
            "bind": f"{settings.host}:{settings.port}",
            "worker_class": "gthread",
            "workers": settings.api_processes,
            "threads": settings.api_threads,
            "worker_connections": settings.api_threads * 2,
            "backlog": 2048,
            "timeout": 60,
            "graceful_timeout": _GRACE_S,
            "keepalive": 75,
            "loglevel": settings.log_level.lower(),
            "control_socket_disable": True,
        }
        if settings.api_bound and hasattr(os, "sched_setaffinity"):
            options |= {"pre_fork": choose_core, "post_fork": bind_to_core}
        if _SHARED_MEMORY.is_dir():
            # Heartbeats are files; on a disk, a slow write would look like a hung process.
            options["worker_tmp_dir"] = str(_SHARED_MEMORY)
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """Called in every server process."""
        configure_logging(self._settings.log_level)
        end_with_parent()
        app = create_app(self._settings)
        # What is loaded by now stays: the collector need not look at it after every few requests.
        gc.freeze()
        return app


def end_with_parent() -> None:
    """End this process soon after its master, however many streams are open.

    By itself it would go on until the last of them has ended; and where the master was killed, the
    database may have been, and be back elsewhere: clients would wait here for ever.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        time.sleep(_GRACE_S)
        os._exit(0)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def serve(settings: Settings) -> None:
    """Serve HTTP until SIGTERM."""
    configure_logging(settings.log_level)
    if settings.engine != "scripted":
        # Seconds to import: once, before the fork, and not where nothing is tokenised.
        import models.grammars.validate  # noqa: F401
    Server(settings).run()
