"""The worker's sign of life: keeps its lease, and learns what is to be cancelled.

A thread of its own, outside the engine: a long step must not cost the lease.
"""

import logging
import os
import socket
import threading
from collections.abc import Callable
from uuid import UUID

from models.errors import UnavailableError
from models.ids import new_id
from models.store import Store
from models.store.workers import LeaseLostError, WorkerIdentity
from models.tables import DEFAULT_PROJECT

logger = logging.getLogger(__name__)

INTERVAL_S = 1.0


class Heartbeat:
    """Registers the worker and renews its lease until it is stopped."""

    def __init__(self, store: Store, name: str, model: str) -> None:
        self._store = store
        self._name = name
        self._model = model
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._on_cancel: Callable[[UUID], None] = lambda _: None
        self._on_lost: Callable[[], None] = lambda: None
        self.identity = self._new_identity()

    def start(self, on_cancel: Callable[[UUID], None], on_lost: Callable[[], None]) -> None:
        """Register, then renew every second.

        `on_cancel` gets each running response that is to be cancelled; `on_lost` is called when
        the lease has run out and the worker's responses are no longer its own.
        """
        self._on_cancel, self._on_lost = on_cancel, on_lost
        self._store.workers.register(self.identity)
        self._thread.start()

    def stop(self) -> None:
        """Give the lease up."""
        self._stopping.set()
        self._thread.join()
        try:
            self._store.workers.leave(self.identity)
        except UnavailableError:
            logger.warning("lease left to run out: the database is out of reach")

    def _run(self) -> None:
        while not self._stopping.wait(INTERVAL_S):
            try:
                self._beat()
            except UnavailableError as error:
                logger.warning("lease not renewed", extra={"error": str(error)})

    def _beat(self) -> None:
        try:
            for response_id in self._store.workers.renew(self.identity):
                self._on_cancel(response_id)
        except LeaseLostError:
            logger.warning("lease lost; starting over", extra={"worker": self._name})
            self._on_lost()
            self.identity = self._new_identity()
            self._store.workers.register(self.identity)

    def _new_identity(self) -> WorkerIdentity:
        return WorkerIdentity(
            id=new_id(),
            project_id=DEFAULT_PROJECT,
            name=self._name,
            model=self._model,
            host=socket.gethostname(),
            pid=os.getpid(),
        )
