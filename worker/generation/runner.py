"""One response's life in the worker: claim → prompt → engine → events → end."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

import redis

from models.chat.prompt import ChatEncoder, EncodedPrompt
from models.chat.render import encode_prompt
from models.encryption.cipher import ContentCipher
from models.encryption.items import decrypt_items
from models.errors import AppError, UnavailableError
from models.recording.recorder import EndingCause, Recorder
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.schemas.request.parameters import GenerationParameters
from models.store.finish import TerminalRecord
from models.store.store import Store
from models.streams.event_log import EventLog
from models.streams.unstored import UnstoredContents
from models.tools.choice import call_rule, format_of
from models.tools.web_search import SOURCES, offered_search
from worker.engine.interface import Delta, Engine, FinishReason, GenerationRequest, Tokenizer
from worker.generation.choice import OutputRules
from worker.generation.dry_breakers import DryBreakerCompiler
from worker.generation.emitter import Emitter
from worker.generation.engine_request import engine_requests
from worker.generation.generation import Generation
from worker.generation.load_input import ContentLostError, load_input
from worker.generation.logprobs import LogprobFormatter
from worker.generation.registry import RunningResponses
from worker.generation.searxng import SearchProvider
from worker.generation.web_search import WebSearcher
from worker.parsing.text_pipeline import TextPipeline
from worker.parsing.turns import TurnFormat

logger = logging.getLogger(__name__)

T = TypeVar("T")

HOLD_S = 60.0
"""How long an end or a hand-back is held while the database is out of reach."""
RETRY_S = 0.5
AWAY_S = 1.0
"""After Redis was out of reach, what has its content there is left in the queue for so long."""
MAX_SEARCHES = 32
"""Of one response that does not say how many it wants, or wants more."""
PUBLISH_S = 4.0
"""How long the end of what is not stored is kept while Redis is away: no reader waits longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerServices:
    """Everything that a runner works with; one of each per process."""

    store: Store
    log: EventLog
    unstored: UnstoredContents
    encoder: ChatEncoder
    tokenizer: Tokenizer
    engine: Engine
    emitter: Emitter
    running: RunningResponses
    cipher: ContentCipher
    search: SearchProvider | None


class Runner:
    """Runs one claimed response at a time on the calling task thread."""

    def __init__(self, workplace: RunnerServices) -> None:
        self._at = workplace
        self._claiming = threading.Lock()
        """One claim at a time: whether a response may run here depends on what else does."""
        self._is_isolating = False
        self._away_until = 0.0
        self._searching = WebSearcher(workplace.search, workplace.encoder)
        self._breakers = DryBreakerCompiler(workplace.encoder.token_texts)
        self._speller = LogprobFormatter(workplace.encoder.token_texts, workplace.tokenizer)

    def run_next(self, worker_id: UUID) -> bool:
        """Claim and run the fairest queued response; False if there is none."""
        running = self._at.running
        with ExitStack() as held:
            with self._claiming:
                if running.is_closed or self._is_isolating:
                    return False
                claimed = self._at.store.claims.claim(
                    worker_id,
                    self._at.encoder.model_id,
                    is_idle=running.num_held == 0,
                    stands_by=running.stands_by,
                    # Else it would come to the head of the queue again and again.
                    only_stored=time.monotonic() < self._away_until,
                )
                if claimed is None:
                    return False
                held.enter_context(running.holding(claimed))
                if claimed.isolated:
                    held.callback(self._end_isolation)
                    self._is_isolating = True
            self._run_claimed(claimed)
        return True

    def _end_isolation(self) -> None:
        self._is_isolating = False

    def _run_claimed(self, claimed: ResponseRecord) -> None:
        logger.info("response claimed", extra=_about(claimed))
        try:
            self._run(claimed)
        except (UnavailableError, redis.RedisError) as error:
            # This worker's lease may be good, so nobody else would take the response from it.
            logger.warning("response handed back", extra={**_about(claimed), "error": str(error)})
            if isinstance(error, redis.RedisError):
                self._away_until = time.monotonic() + AWAY_S
            self._hold(claimed, lambda: self._at.store.claims.hand_back([claimed]))
        except ContentLostError as error:
            logger.warning("content lost", extra=_about(claimed))
            self._fail(claimed, error)
        except Exception as error:
            logger.exception("response failed", extra=_about(claimed))
            self._fail(claimed, error)
            self._forget_unwanted(claimed)
        else:
            self._forget_unwanted(claimed)

    def _run(self, claimed: ResponseRecord) -> None:
        stored, items = load_input(claimed, self._at.store, self._at.unstored)
        parameters = stored.generation_parameters()
        recorder, logged = Recorder.resume(stored, self._at.log, self._at.cipher)
        unlogged = stored.checkpoint.beyond(logged) if stored.checkpoint else ()
        if stored.cancel_requested and not unlogged:
            self._finish(recorder, EndingCause(status=ResponseStatus.CANCELLED))
            return
        recorder.begin()
        items = decrypt_items(self._at.cipher, stored.project_id, items)
        prompt = encode_prompt(self._at.encoder, parameters, items)
        generation = Generation(
            stored,
            recorder,
            [self._pipeline(parameters, prompt) for _ in range(parameters.n or 1)],
            num_prompt_tokens=len(prompt),
            spell=self._speller.spell,
            rules=_rules_of(parameters),
        )
        is_over = generation.resume(logged, unlogged)
        if stored.cancel_requested:
            usage = generation.usage()
            self._finish(recorder, EndingCause(status=ResponseStatus.CANCELLED, usage=usage))
            return
        if is_over:
            self._finish(recorder, generation.cause)
            return
        if unlogged:
            recorder.flush()
        self._generate(generation, parameters, prompt)

    def _pipeline(self, parameters: GenerationParameters, prompt: EncodedPrompt) -> TextPipeline:
        encoder, rule = self._at.encoder, call_rule(parameters)
        may_call = rule.tools or offered_search(parameters)
        turn_format = TurnFormat(
            think_tags=encoder.think_tags,
            call_format=format_of(parameters, encoder.profile) if may_call else None,
            functions=rule.names,
        )
        opens_thought = prompt.opens_thought
        return TextPipeline(
            self._at.tokenizer, parameters.stop, turn_format, opens_thought=opens_thought
        )

    def _generate(
        self, generation: Generation, parameters: GenerationParameters, prompt: EncodedPrompt
    ) -> None:
        """Hand the generation to the engine and the emitter, and wait for its end."""
        if not self._at.running.enter(generation):
            self._at.store.claims.hand_back([generation.stored])
            return
        try:
            while self._take_turn(generation, parameters, prompt):
                pass
            if not generation.is_released:
                self._finish(generation.recorder, generation.cause)
        finally:
            self._at.running.leave(generation)

    def _take_turn(
        self, generation: Generation, parameters: GenerationParameters, prompt: EncodedPrompt
    ) -> bool:
        """Let it generate up to its end or its next searches; True if there is more to come."""
        if generation.waiting:
            generation.pause()
            self._searching.tell_all(generation, parameters, len(prompt))
            if generation.is_interrupted:
                generation.interrupt()
                return False
            generation.recorder.flush()
            if generation.continue_after_search():
                return bool(generation.waiting)
        requests = engine_requests(
            generation, parameters, prompt, breakers=self._breakers, encoder=self._at.encoder
        )
        self._at.emitter.add(generation)
        for request in requests:
            self._submit(generation, request)
        generation.wait()
        return bool(generation.waiting)

    def _submit(self, generation: Generation, request: GenerationRequest) -> None:
        try:
            self._at.engine.submit(request)
        except Exception as error:
            logger.warning("engine refused", extra=_about(generation.stored), exc_info=True)
            self._at.emitter.on_step(
                [
                    Delta(
                        sequence_id=request.sequence_id,
                        token_id=None,
                        finish_reason=FinishReason.ERROR,
                        error=str(error),
                    )
                ]
            )
        if generation.is_interrupted or generation.is_over:
            # It was stopped before the engine knew of this one.
            self._at.engine.abort(request.sequence_id)

    def _finish(self, recorder: Recorder, cause: EndingCause) -> None:
        stored = recorder.stored
        recorder.flush()
        ending = recorder.finish(cause)
        if self._write_end(stored, ending):
            self._publish_end(recorder)
            logger.info("response finished", extra={**_about(stored), "status": cause.status})
        else:
            # Another end came first.
            logger.info("end not written: the attempt is stale", extra=_about(stored))
            self._yield_to_other(stored)

    def _write_end(self, stored: ResponseRecord, ending: TerminalRecord) -> bool:
        """Commit the end; one whose commit was cut off is looked up, and not taken for stale."""
        endings, was_cut = self._at.store.finisher, False

        def write() -> bool:
            nonlocal was_cut
            try:
                return endings.finish(stored, ending) or (was_cut and endings.has_ended(stored))
            except UnavailableError:
                was_cut = True
                raise

        return self._hold(stored, write)

    def _publish_end(self, recorder: Recorder) -> None:
        """What is not stored has its end in the log alone: while Redis is away, wait for it."""
        recorder.publish_end()
        pause = threading.Event()
        for _ in range(0 if recorder.stored.store else int(PUBLISH_S / RETRY_S)):
            if recorder.pending() is None:
                return
            pause.wait(RETRY_S)
            recorder.flush()

    def _forget_unwanted(self, stored: ResponseRecord) -> None:
        """What is not stored and has no client any more leaves no log."""
        if stored.store:
            return
        try:
            if not self._at.unstored.is_wanted(stored.id):
                self._at.log.forget([stored.id])
        except redis.RedisError:
            logger.warning("log left to run out", extra=_about(stored))

    def _hold(self, stored: ResponseRecord, write: Callable[[], T]) -> T:
        """Write; while the database is out of reach, hold what is to be written for a minute.

        `write` is fenced by the attempt: doing it twice, or too late, changes nothing.
        """
        pause, deadline = threading.Event(), time.monotonic() + HOLD_S
        while time.monotonic() < deadline:
            try:
                return write()
            except UnavailableError:
                logger.warning("write held: the database is out of reach", extra=_about(stored))
                pause.wait(RETRY_S)
        return write()

    def _fail(self, claimed: ResponseRecord, error: Exception) -> None:
        """End a response that could not be run; clients get no inner details."""
        message = error.message if isinstance(error, AppError) else "The worker failed."
        cause = EndingCause(
            status=ResponseStatus.FAILED, error={"code": "server_error", "message": message}
        )
        recorder, _ = Recorder.resume(claimed, self._at.log)
        self._finish(recorder, cause)

    def _yield_to_other(self, stored: ResponseRecord) -> None:
        """Leave nothing of a deleted response; point the readers of any other to the store."""
        try:
            if self._at.store.responses.statuses([(stored.project_id, stored.id)]):
                self._at.log.nudge(stored.id)
            else:
                self._at.log.forget([stored.id])
        except redis.RedisError:
            logger.warning("readers not told", extra=_about(stored))


def _max_searches(parameters: GenerationParameters) -> int:
    if offered_search(parameters) is None:
        return 0
    return min(parameters.max_tool_calls or MAX_SEARCHES, MAX_SEARCHES)


def _rules_of(parameters: GenerationParameters) -> OutputRules:
    rule = call_rule(parameters)
    return OutputRules(
        hides_thoughts=parameters.effort == "none",
        shows_sources=SOURCES in parameters.include,
        max_searches=_max_searches(parameters),
        max_calls=rule.max_calls,
        functions=rule.names,
    )


def _about(stored: ResponseRecord) -> dict[str, object]:
    return {"response_id": stored.id.hex, "attempt": stored.attempt}
