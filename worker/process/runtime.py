"""Composition of a worker process: construction, start, drain and stop of its parts."""

import logging
import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from models.chat.scripted_encoder import ScriptedEncoder
from models.chat.template_encoder import TemplateEncoder, load_encoder
from models.encryption.cipher import ContentCipher
from models.engine_capabilities import EngineCapabilities
from models.limits.windows import Windows
from models.metrics.publisher import MetricPublisher
from models.outages import OUTAGES, OutageLog
from models.settings import Settings
from models.store.claims import Claim
from models.store.store import Store
from models.streams.connection import connect, connect_subscriber
from models.streams.event_log import EventLog
from models.streams.unstored import UnstoredContents
from models.tools.mcp.servers import McpServers
from worker.engine.interface import Engine, EngineConfig, StepListener, Tokenizer
from worker.engine.scripted import ScriptedEngine, ScriptedTokenizer
from worker.generation.call_checkpoints import CallCheckpoints
from worker.generation.emitter import Emitter
from worker.generation.registry import RunningResponses
from worker.generation.request.images import image_sample
from worker.generation.retry import WriteRetrier
from worker.generation.runner import Runner, RunnerServices
from worker.generation.step_meter import StepMeter
from worker.generation.turn_loop import TurnLoop
from worker.hosted.mcp.client import McpClient
from worker.hosted.mcp.connection import McpTimeouts
from worker.hosted.searxng import Searxng
from worker.process.cancel_listener import CancelListener
from worker.process.charger import Charger
from worker.process.checkpointer import Checkpointer
from worker.process.gauges import WorkerGauges
from worker.process.heartbeat import Heartbeat
from worker.process.loading import loading
from worker.process.poller import Poller
from worker.process.preemptor import Preemptor
from worker.process.reconciler import Reconciler
from worker.process.timings import WorkerTimings
from worker.process.watchdog import Watchdog
from worker.queue import WakeQueue

logger = logging.getLogger(__name__)

_STOP_S = 5.0
"""Seconds to wait for released responses to stop; longer than an engine step.

Less than a worker is allowed beyond its drain time: what has not stopped is handed back as well.
"""

_GRAMMAR_LENIENCY = 2.0
"""Factor on the bounds of a grammar, so that what the API has accepted passes here too."""
RENEWAL_S = 2.0
"""Seconds that a lease renewal may take: two of them fit into the term of a lease."""
EXIT_STUCK = 70
"""Exit code after the engine hung or lost its device: `EX_SOFTWARE` of sysexits.h."""


class Runtime:
    """Worker process for one model: an engine and the threads that serve it."""

    def __init__(
        self,
        settings: Settings,
        name: str,
        pulse: Path | None = None,
        *,
        timings: WorkerTimings = WorkerTimings(),
    ) -> None:
        """Open the connections and load the model; raise `LoadError` if it cannot be loaded.

        `pulse` is a file whose modification time shows that the process is alive.
        """
        assert settings.database_url is not None
        assert settings.redis_url is not None
        self._settings = settings
        self._store = Store.open(
            settings.database_url,
            maintenance_url=settings.database_maintenance_url,
            pool_size=16,
            secret_file=settings.secret_file,
            content_keys_file=settings.content_keys_file,
        )
        # A pool of its own: leases must be renewed even when all other connections are busy.
        self._lease_store = Store.open(
            settings.database_url,
            maintenance_url=settings.database_maintenance_url,
            pool_size=1,
            limit_s=RENEWAL_S,
        )
        # Its own connections: the emitter must not wait longer than this for a Redis that hangs.
        log = EventLog(connect(settings.redis_url, timeout_s=1))
        with loading():
            encoder = load_encoder(settings)
        meter = StepMeter(encoder.model_id)
        self._emitter = Emitter(log, meter)
        with loading():
            self._engine, tokenizer = _make_engine(settings, encoder, self._emitter)
        self._running = RunningResponses()
        self._checkpointer = Checkpointer(
            self._store, self._running, interval_s=settings.checkpoint_seconds
        )
        self._wake_queue = WakeQueue(settings.redis_url)
        self._heartbeat = Heartbeat(
            self._lease_store,
            name,
            encoder.model_id,
            timings,
            capabilities=_capabilities(self._engine, encoder),
        )
        self._reconciler = Reconciler(
            self._lease_store,
            self._running,
            self._wake_queue,
            encoder.model_id,
            max_response_s=settings.max_response_seconds,
        )
        self._watchdog = Watchdog(
            self._engine,
            self._heartbeat,
            timings=timings,
            pulse=pulse,
            on_lease_ending=self._reconciler.release_all,
            on_end=self._abort_process,
        )
        self._metrics = MetricPublisher(
            connect(settings.redis_url, timeout_s=1),
            WorkerGauges(
                self._engine,
                meter,
                self._running,
                (encoder.model_id, name),
                num_places=settings.max_sequences,
            ).measure,
        )
        self._cancel_listener = CancelListener(
            connect_subscriber(settings.redis_url), poll_s=timings.cancel_poll_s
        )
        self._mcp = McpClient(McpTimeouts(call_s=settings.mcp_timeout_seconds))
        self._draining = threading.Lock()
        self._claim_outages = OutageLog(logger, "nothing claimed")
        self.model_id = encoder.model_id
        self._runner = self._make_runner(encoder, tokenizer, log, timings)
        self._poller = Poller(
            self._store,
            self._running,
            model=self.model_id,
            max_sequences=settings.max_sequences,
            worker_id=lambda: self._heartbeat.identity.id,
            interval_s=timings.poll_s,
        )
        self._preemptor = Preemptor(
            self._store,
            self._running,
            model=self.model_id,
            max_sequences=settings.max_sequences,
            timings=timings,
        )
        self._charger = Charger(self._store, self._running, interval_s=timings.charge_s)

    def _make_runner(
        self,
        encoder: TemplateEncoder | ScriptedEncoder,
        tokenizer: Tokenizer,
        log: EventLog,
        timings: WorkerTimings,
    ) -> Runner:
        settings = self._settings
        assert settings.redis_url is not None
        client = connect(settings.redis_url)
        retrier = WriteRetrier(timings.retry_s)
        checkpoints = CallCheckpoints(self._store.checkpoints, retrier)
        services = RunnerServices(
            store=self._store,
            log=log,
            unstored=UnstoredContents(client, ended_ttl_s=settings.unstored_seconds),
            windows=Windows(client),
            encoder=encoder,
            tokenizer=tokenizer,
            running=self._running,
            wake=partial(self._wake_queue.wake, encoder.model_id),
            retrier=retrier,
            checkpoints=checkpoints,
            run_turns=TurnLoop(encoder, self._engine, self._emitter, checkpoints).run,
            cipher=ContentCipher(self._store.projects.encryption_key),
            search=Searxng(settings.searxng_url) if settings.searxng_url else None,
            mcp=self._mcp,
            mcp_servers=McpServers(settings.mcp_servers, settings.mcp_public_servers),
            validates_output=not isinstance(encoder, ScriptedEncoder),
        )
        return Runner(services, redis_away_s=timings.redis_away_s)

    def start(self) -> None:
        """Start every thread.

        The lease, and with it readiness, starts after the engine, so that a worker with a lease
        can generate.
        """
        self._running.bind(self._engine.abort)
        self._engine.start()
        self._emitter.start(self._engine.abort)
        self._checkpointer.start()
        self._cancel_listener.start(self._running.cancel)
        self._heartbeat.start(self._reconciler.reconcile, self._reconciler.release_all)
        self._watchdog.start()
        self._poller.start(self.run_queued)
        self._preemptor.start()
        self._charger.start()
        self._metrics.start()
        logger.info("worker ready", extra={"model": self.model_id})

    def run_queued(self) -> None:
        """Run queued responses one after the other until there are none.

        The body of the Celery task.
        """
        try:
            # Once the engine is lost, the watchdog ends the process: what it would claim until then
            # would only be handed back.
            while not self._engine.is_lost and self._runner.run_next(self._heartbeat.identity.id):
                pass
        except OUTAGES as error:
            self._claim_outages.failed(error)
        except Exception:
            # The claim is handed back, as no task holds it.
            logger.exception("task failed")
        else:
            self._claim_outages.succeeded()

    def drain(self) -> None:
        """Stop claiming, let running responses end for `drain_seconds`, then requeue the rest."""
        with self._draining:
            self._running.close()
            if self._running.wait_empty(self._settings.drain_seconds):
                return
            released = self._running.release_all()
            # They stop at the next engine step; the tokens of that step must be in the checkpoint.
            self._running.wait_empty(_STOP_S)
            self._hand_back([generation.handed_back_record() for generation in released])

    def _hand_back(self, records: Sequence[Claim]) -> None:
        try:
            handed_back = self._store.claims.hand_back(records)
        except OUTAGES as error:
            # The lease runs out soon, and another worker resumes them.
            logger.warning("responses not handed back", extra={"error": str(error)})
            return
        self._wake_queue.wake(self.model_id, len(handed_back))
        logger.info("responses handed back", extra={"count": len(handed_back)})

    def stop(self) -> None:
        """Stop every thread and close every connection; call after `drain`."""
        self._watchdog.stop()
        self._preemptor.stop()
        self._charger.stop()
        self._poller.stop()
        self._engine.stop()
        self._emitter.stop()
        self._checkpointer.stop()
        self._cancel_listener.stop()
        self._heartbeat.stop()
        self._metrics.stop()
        self._mcp.close()
        self._wake_queue.close()
        self._store.close()
        self._lease_store.close()

    def _abort_process(self) -> None:
        """Release the running responses and the lease at once, then end the process.

        Other workers resume the responses; the supervisor starts a new process.
        """
        self._running.release_all(is_lost=True)
        self._heartbeat.give_up()
        os._exit(EXIT_STUCK)


def _make_engine(
    settings: Settings, encoder: TemplateEncoder | ScriptedEncoder, emitter: Emitter
) -> tuple[Engine, Tokenizer]:
    if isinstance(encoder, ScriptedEncoder):
        scripted_engine = ScriptedEngine(
            num_tokens=settings.script_tokens,
            interval_s=settings.script_interval_ms / 1000,
            max_sequences=settings.max_sequences,
            on_step=emitter.on_step,
            text=settings.script_text,
        )
        return scripted_engine, ScriptedTokenizer()
    # Imported here: only real engines need torch, and grammar libraries import much of it.
    from models.grammars.validate import GrammarChecker
    from worker.process.engine_config import engine_config

    checker = GrammarChecker(encoder.tokenizer, leniency=_GRAMMAR_LENIENCY)
    checker.start_warm_up()
    config = replace(
        engine_config(settings, encoder.folder, image_sample(encoder)),
        find_grammar_error=checker.find_error,
    )
    engine = _load_engine(settings, config, emitter.on_step)
    return engine, encoder.tokenizer.backend_tokenizer


def _capabilities(engine: Engine, encoder: TemplateEncoder | ScriptedEncoder) -> EngineCapabilities:
    """Return what this worker can do, whatever the settings of the API say."""
    return EngineCapabilities(
        reads_images="input_image" in encoder.media and engine.reads_images,
        constrains_output=encoder.tokenizer is not None,
        max_context=engine.context_length,
    )


def _load_engine(settings: Settings, config: EngineConfig, on_step: StepListener) -> Engine:
    # Each is imported only where it runs: their environments differ.
    if settings.engine == "vllm":
        from worker.engine.vllm.engine import VllmEngine

        return VllmEngine(config, on_step)
    from worker.engine.transformers.engine import TransformersEngine

    return TransformersEngine(config, on_step)
