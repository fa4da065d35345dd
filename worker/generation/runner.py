"""Lifecycle of one response in the worker: claim → prompt → engine → events → end."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import redis

from models.chat.compaction import CompactionPlan, plan_compaction
from models.chat.prompt import ChatEncoder, EncodedPrompt
from models.chat.render import encode_prompt
from models.encryption.cipher import ContentCipher
from models.encryption.items import decrypt_items
from models.errors import ContentLostError, UnavailableError
from models.limits.windows import Windows
from models.recording.recorder import Recorder
from models.responses.ending import EndingCause, failed_cause
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.responses.tokens import GeneratedToken
from models.schemas.request.parameters import GenerationParameters
from models.store.store import Store
from models.streams.event_log import EventLog
from models.streams.unstored import UnstoredContents
from models.tools.added_tools import with_added_tools
from models.tools.choice import find_missing_tool
from models.tools.mcp.servers import McpServers
from models.tracing.gen_ai import input_content
from models.tracing.spans import current_span, measured
from models.tracing.tracer import TRACER
from worker.engine.interface import EngineStoppedError, Tokenizer
from worker.generation.call_checkpoints import CallCheckpoints
from worker.generation.claimer import Claimer
from worker.generation.compaction import Compactor
from worker.generation.factory import GenerationFactory, output_rules
from worker.generation.finalizer import Finalizer
from worker.generation.generation import Generation
from worker.generation.load_input import load_input
from worker.generation.output.validation import validated_cause
from worker.generation.registry import RunningResponses
from worker.generation.retry import WriteRetrier
from worker.generation.tracing import traced_attempt
from worker.hosted.between_turns import HostedCalls
from worker.hosted.mcp.client import McpClient
from worker.hosted.mcp.errors import AbandonedError
from worker.hosted.mcp.opening import McpOpening
from worker.hosted.mcp.tools import McpServices, McpTools, StaleAttemptError
from worker.hosted.searxng import SearchProvider
from worker.hosted.web_search import WebSearcher

logger = logging.getLogger(__name__)

RunTurns = Callable[[Generation, GenerationParameters, EncodedPrompt, HostedCalls], bool]
"""Function that runs a generation to its end; False if it was released to another worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerServices:
    """Dependencies of a runner, one of each per process."""

    store: Store
    log: EventLog
    unstored: UnstoredContents
    windows: Windows
    encoder: ChatEncoder
    tokenizer: Tokenizer
    running: RunningResponses
    wake: Callable[[], object]
    """Wakes another worker, for a response that this one hands back."""
    retrier: WriteRetrier
    checkpoints: CallCheckpoints
    run_turns: RunTurns
    cipher: ContentCipher
    search: SearchProvider | None
    mcp: McpClient
    mcp_servers: McpServers
    validates_output: bool
    """True if the engine follows grammars, so that finished outputs must satisfy them."""


class Runner:
    """Runs claimed responses, one at a time on each calling task thread."""

    def __init__(self, services: RunnerServices, *, redis_away_s: float) -> None:
        """Create the runner.

        `redis_away_s` is the time in seconds without claims of responses whose content is in Redis,
        after Redis was unreachable.
        """
        store, encoder, retrier = services.store, services.encoder, services.retrier
        self._services = services
        self._claimer = Claimer(
            store.claims,
            services.running,
            encoder.model_id,
            retrier=retrier,
            redis_away_s=redis_away_s,
        )
        self._factory = GenerationFactory(encoder, services.tokenizer)
        self._compactor = Compactor(encoder, services.log, services.cipher)
        self._finalizer = Finalizer(
            store, services.log, services.unstored, services.windows, retrier
        )
        self._web_searcher = WebSearcher(services.search, encoder)
        self._mcp = McpServices(
            client=services.mcp,
            servers=services.mcp_servers,
            begin_call=services.checkpoints.begin_call,
        )

    def run_next(self, worker_id: UUID) -> bool:
        """Claim and run the next queued response in fair order; return False if there is none."""
        began_ns = time.time_ns()
        with self._claimer.claim(worker_id) as claimed:
            if claimed is None:
                return False
            with traced_attempt(claimed, began_ns):
                self._run_claimed(claimed)
        return True

    def _run_claimed(self, claimed: ResponseRecord) -> None:
        logger.info("response claimed", extra=claimed.log_fields)
        try:
            self._run(claimed)
        except (UnavailableError, redis.RedisError, EngineStoppedError) as error:
            # With a valid lease of this worker, the reaper would not reclaim the response.
            logger.warning(
                "response handed back", extra={**claimed.log_fields, "error": str(error)}
            )
            self._claimer.hand_back(claimed, error)
        except ContentLostError as error:
            logger.warning("content lost", extra=claimed.log_fields)
            self._finalizer.fail(claimed, error)
        except Exception as error:
            logger.exception("response failed", extra=claimed.log_fields)
            self._finalizer.fail(claimed, error)
            self._finalizer.forget_unwanted(claimed)
        else:
            self._finalizer.forget_unwanted(claimed)

    def _run(self, claimed: ResponseRecord) -> None:
        with measured("load"):
            record, items = load_input(claimed, self._services.store, self._services.unstored)
        recorder, logged = Recorder.resume(record, self._services.log, self._services.cipher)
        unlogged = record.checkpoint.beyond(logged) if record.checkpoint else ()
        if record.cancel_requested and not unlogged:
            self._finalizer.finish(recorder, EndingCause(status=ResponseStatus.CANCELLED))
            return
        recorder.begin()
        items = decrypt_items(self._services.cipher, record.project_id, items)
        parameters = GenerationParameters.model_validate(record.parameters)
        with closing(McpTools(self._mcp, record, parameters)) as mcp:
            calls = HostedCalls(self._web_searcher, mcp, self._services.encoder)
            kept = self._shorten(recorder, with_added_tools(parameters, items), items, calls)
            if kept is None:
                return
            opening = McpOpening.plan(recorder.writer(), parameters, items)
            tokens = opening.resume(logged, unlogged)
            must_open = not (opening.is_done or record.cancel_requested)
            if must_open and not self._open(recorder, opening, mcp):
                return
            parameters = with_added_tools(parameters, [*items, *opening.items])
            fault = opening.error or find_missing_tool(parameters)
            if fault is not None and not record.cancel_requested:
                self._finalizer.finish(recorder, failed_cause(fault))
                return
            with measured("prompt"):
                given = [*kept, *opening.items]
                prompt = encode_prompt(self._services.encoder, parameters, given)
            if TRACER.includes_content:
                current_span().set(input_content(record.parameters, given))
            generation = self._resume(recorder, opening, parameters, prompt, tokens)
            if generation is not None:
                self._generate(generation, parameters, prompt, calls)

    def _shorten(
        self,
        recorder: Recorder,
        parameters: GenerationParameters,
        items: list[dict[str, Any]],
        calls: HostedCalls,
    ) -> list[dict[str, Any]] | None:
        """Return the items, or what their compaction leaves; None if the response does not go on.

        An input that is too long is compacted if the request asks for it, unless an earlier attempt
        has done so.
        """
        plan = plan_compaction(self._services.encoder, parameters, items)
        if plan is None:
            return items
        if recorder.compaction is None and not self._compact(recorder, parameters, plan, calls):
            return None
        return self._compactor.compacted_items(recorder)

    def _compact(
        self,
        recorder: Recorder,
        parameters: GenerationParameters,
        plan: CompactionPlan,
        calls: HostedCalls,
    ) -> bool:
        """Record the compaction of the input.

        Return False if the response has ended meanwhile, or goes on in another worker.
        """
        summary = self._compactor.begin(recorder, parameters, plan)
        generation = self._factory.create(summary.recorder, summary.parameters, summary.prompt)
        with self._registered(generation) as is_registered:
            if not is_registered:
                return False
            run_turns = self._services.run_turns
            if not run_turns(generation, summary.parameters, summary.prompt, calls):
                return False
        if not generation.cause.has_output:
            self._finalizer.finish(recorder, generation.cause)
            return False
        self._compactor.record(recorder, summary)
        return True

    def _open(self, recorder: Recorder, opening: McpOpening, mcp: McpTools) -> bool:
        """Do what comes before the first token; return False if the response does not go on."""
        generation = self._factory.create_opening(recorder)
        generation.add_notes(opening.token_ids)
        with self._registered(generation) as is_registered:
            if not is_registered:
                return False
            try:
                for token_ids in opening.run(mcp, recorder.flush, generation.is_call_abandoned):
                    generation.add_notes(token_ids)
                    self._services.checkpoints.save(generation)
                    if generation.is_interrupted:
                        break
            except AbandonedError:
                pass
            except StaleAttemptError:
                generation.abandon()
        if generation.is_interrupted and not generation.is_released:
            self._finalizer.finish(recorder, generation.interrupted_cause())
        return not generation.is_interrupted

    def _resume(
        self,
        recorder: Recorder,
        opening: McpOpening,
        parameters: GenerationParameters,
        prompt: EncodedPrompt,
        tokens: tuple[Sequence[GeneratedToken], Sequence[GeneratedToken]],
    ) -> Generation | None:
        """Return the generation after the tokens of earlier attempts; None if they end it.

        `tokens` are those in the log, and those that follow in a checkpoint.
        """
        generation = self._factory.create(recorder, parameters, prompt, output_rules(parameters))
        generation.add_notes(opening.token_ids, num_calls=opening.num_calls)
        is_over = generation.resume(*tokens)
        if recorder.record.cancel_requested:
            cause = EndingCause(status=ResponseStatus.CANCELLED, usage=generation.usage())
            self._finalizer.finish(recorder, cause)
            return None
        if is_over:
            self._finish(generation, parameters)
            return None
        if tokens[1]:
            recorder.flush()
        return generation

    def _generate(
        self,
        generation: Generation,
        parameters: GenerationParameters,
        prompt: EncodedPrompt,
        calls: HostedCalls,
    ) -> None:
        """Run the generation to its end and write that."""
        with self._registered(generation) as is_registered:
            if is_registered and self._services.run_turns(generation, parameters, prompt, calls):
                self._finish(generation, parameters)

    @contextmanager
    def _registered(self, generation: Generation) -> Iterator[bool]:
        """Register a generation as running; hand it back and yield False if the worker stops."""
        with self._services.running.registered(generation) as is_registered:
            if not is_registered and self._services.store.claims.hand_back([generation.record]):
                self._services.wake()
            yield is_registered

    def _finish(self, generation: Generation, parameters: GenerationParameters) -> None:
        """Write the end of what is generated: a failure if the output breaks its constraints."""
        cause = generation.cause
        if self._services.validates_output:
            cause = validated_cause(cause, generation.recorder, parameters)
        self._finalizer.finish(generation.recorder, cause)
