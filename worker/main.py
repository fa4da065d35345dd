"""A worker process: a Celery worker whose one task runs what is queued."""

import gc
import logging
import threading
from pathlib import Path

from celery import signals

from models.logging import configure_logging
from models.settings import Settings
from worker.process.runtime import Runtime
from worker.queue import TASK_NAME, make_celery, queue_name

logger = logging.getLogger(__name__)


def main(settings: Settings, name: str, pulse: Path | None = None) -> None:
    """Load the weights, work until SIGTERM, then drain and hand back."""
    configure_logging(settings.log_level)
    assert settings.redis_url is not None
    runtime = Runtime(settings, name, pulse)
    app = make_celery(settings.redis_url)

    @app.task(name=TASK_NAME, ignore_result=True)
    def run_queued() -> None:
        runtime.run_queued()

    drain = threading.Thread(target=runtime.drain, name="drain")

    def on_shutdown(**_: object) -> None:
        """Celery waits for its tasks; ours end when the running is drained."""
        if not drain.is_alive():
            drain.start()

    signals.worker_shutting_down.connect(on_shutdown, weak=False)
    runtime.start()
    # What is loaded by now stays: the collector need not look at it again and again.
    gc.freeze()
    try:
        app.worker_main(_arguments(settings, name, runtime.model_id))
    finally:
        if drain.is_alive():
            drain.join()
        else:
            runtime.drain()
        runtime.stop()


def _arguments(settings: Settings, name: str, model: str) -> list[str]:
    return [
        "worker",
        "--pool=threads",
        f"--concurrency={settings.max_sequences}",
        f"--queues={queue_name(model)}",
        f"--hostname={name}@%h",
        f"--loglevel={settings.log_level}",
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
    ]
