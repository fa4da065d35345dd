"""Entry point of a worker process: a Celery worker with one task, which runs queued responses."""

import gc
import logging
import sys
import threading
from pathlib import Path

from celery import signals

from models.database.refusal import exit_if_refused
from models.exit_deadline import end_within
from models.logging import configure_logging
from models.settings import Settings
from models.tracing.tracer import TRACER
from models.vital_thread import VitalThread
from worker.process.consumer import PatientConsumer
from worker.process.runtime import Runtime
from worker.queue import TASK_NAME, make_celery, queue_name

logger = logging.getLogger(__name__)

END_S = 8.0
"""Seconds that a worker takes at most to end, beyond its drain time; a supervisor allows ten."""
EXIT_CONSUMER_LOST = 70
"""Exit code after Celery has ended although nothing asked it to: `EX_SOFTWARE` of sysexits.h."""


def main(settings: Settings, name: str, pulse: Path | None = None) -> None:
    """Load the weights, run responses until SIGTERM, then drain and hand unfinished ones back.

    It ends some seconds after its drain time, whatever the state of the database.
    `name` is unique among the running workers; `pulse` is a file whose modification time shows
    that the process is alive. If Celery ends for another reason than a signal, the process exits
    with a non-zero code, so that a supervisor takes it for a crash.
    """
    configure_logging(settings.log_level)
    assert settings.redis_url is not None
    TRACER.turn_on(settings, "worker")
    runtime = Runtime(settings, name, pulse)
    app = make_celery(settings.redis_url)
    app.conf.worker_consumer = PatientConsumer

    @app.task(name=TASK_NAME, ignore_result=True)
    def run_queued() -> None:
        runtime.run_queued()

    drain = VitalThread("drain", runtime.drain, is_daemon=False)
    is_stopping = threading.Event()

    def on_shutdown(**_: object) -> None:
        """Drain while Celery waits for its tasks, which end when nothing runs any more."""
        if not is_stopping.is_set():
            is_stopping.set()
            end_within(settings.drain_seconds + END_S)
            drain.start()

    signals.worker_shutting_down.connect(on_shutdown, weak=False)
    with exit_if_refused():
        runtime.start()
    # Loaded modules and weights live until exit: exempt them from every further collection.
    gc.freeze()
    try:
        app.worker_main(_arguments(settings, name, runtime.model_id))
    finally:
        if is_stopping.is_set():
            drain.join()
        else:
            runtime.drain()
        runtime.stop()
        TRACER.turn_off()
    if not is_stopping.is_set():
        logger.critical("celery ended by itself")
        sys.exit(EXIT_CONSUMER_LOST)


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
