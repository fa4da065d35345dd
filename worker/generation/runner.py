"""Lifecycle of one response in the worker: claim → prompt → engine → events → end."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import redis

from models.chat.compaction import CompactionPlan, plan_compaction
from models.chat.prompt import ChatEncoder, EncodedPrompt
from models.chat.render import encode_prompt
from models.encryption.cipher import ContentCipher
from models.encryption.compaction import encrypt_compaction
from models.encryption.items import decrypt_items
from models.errors import ContentLostError, UnavailableError
from models.recording.recorder import EndingCause, Recorder
from models.recording.unlogged import UnloggedRecorder
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.responses.tokens import GeneratedToken
from models.schemas.request.parameters import GenerationParameters
from models.schemas.tools.call_items import HostedType
from models.store.store import Store
from models.streams.event_log import EventLog
from models.streams.unstored import UnstoredContents
from models.tools.added_tools import with_added_tools
from models.tools.choice import call_rule, find_missing_tool, format_of
from models.tools.mcp.functions import has_mcp
from models.tools.mcp.servers import McpServers
from models.tools.web_search import SOURCES, offered_search
from worker.engine.interface import Delta, Engine, FinishReason, GenerationRequest, Tokenizer
from worker.generation.emitter import Emitter
from worker.generation.finalizer import Finalizer
from worker.generation.generation import Generation, failed_cause
from worker.generation.load_input import load_input
from worker.generation.output.choice import OutputRules
from worker.generation.output.logprobs import LogprobFormatter
from worker.generation.output.validation import validated_cause
from worker.generation.registry import RunningResponses
from worker.generation.request.dry_breakers import DryBreakerCompiler
from worker.generation.request.engine_request import engine_requests
from worker.generation.retry import WriteRetrier
from worker.hosted.between_turns import HostedCalls
from worker.hosted.mcp.client import McpClient
from worker.hosted.mcp.errors import AbandonedError
from worker.hosted.mcp.opening import McpOpening
from worker.hosted.mcp.tools import McpServices, McpTools, StaleAttemptError
from worker.hosted.searxng import SearchProvider
from worker.hosted.web_search import WebSearcher
from worker.parsing.text_pipeline import TextPipeline
from worker.parsing.turns import TurnFormat

logger = logging.getLogger(__name__)

MAX_SEARCHES = 32
"""Most searches of one response; `max_tool_calls` can only lower it."""
MAX_MCP_CALLS = 128
"""Most calls of MCP tools of one response; likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerServices:
    """Dependencies of a runner, one of each per process."""

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
    mcp: McpClient
    mcp_servers: McpServers
    validates_output: bool
    """True if the engine follows grammars, so that finished outputs must satisfy them."""


class Runner:
    """Runs claimed responses, one at a time on each calling task thread."""

    def __init__(self, services: RunnerServices, *, retry_s: float, redis_away_s: float) -> None:
        """Create the runner.

        `retry_s` is the time in seconds between two tries of a write while the database is
        unreachable, `redis_away_s` the time without claims of responses whose content is in Redis,
        after Redis was unreachable.
        """
        self._services = services
        self._redis_away_s = redis_away_s
        self._retrier = WriteRetrier(retry_s)
        self._finalizer = Finalizer(
            services.store,
            services.log,
            services.unstored,
            retrier=self._retrier,
            retry_s=retry_s,
        )
        self._claim_lock = threading.Lock()
        """Serialises claims: what may be claimed depends on the responses that already run here."""
        self._is_isolating = False
        self._redis_away_until = 0.0
        """Monotonic time until which only responses stored in Postgres are claimed."""
        self._web_searcher = WebSearcher(services.search, services.encoder)
        self._mcp = McpServices(
            client=services.mcp, servers=services.mcp_servers, begin_call=self._begin_call
        )
        self._breakers = DryBreakerCompiler(services.encoder.token_texts)
        self._logprob_formatter = LogprobFormatter(services.encoder.token_texts, services.tokenizer)

    def run_next(self, worker_id: UUID) -> bool:
        """Claim and run the next queued response in fair order; return False if there is none."""
        running = self._services.running
        with ExitStack() as stack:
            with self._claim_lock:
                if running.is_closed or self._is_isolating:
                    return False
                claimed = self._services.store.claims.claim(
                    worker_id,
                    self._services.encoder.model_id,
                    is_idle=running.num_claims == 0,
                    stands_by=running.is_standing_by,
                    # A response that needs Redis would be claimed and handed back again and again.
                    only_stored=time.monotonic() < self._redis_away_until,
                )
                if claimed is None:
                    return False
                stack.enter_context(running.hold_claim(claimed))
                if claimed.isolated:
                    stack.callback(self._end_isolation)
                    self._is_isolating = True
            self._run_claimed(claimed)
        return True

    def _end_isolation(self) -> None:
        self._is_isolating = False

    def _run_claimed(self, claimed: ResponseRecord) -> None:
        logger.info("response claimed", extra=claimed.log_fields)
        try:
            self._run(claimed)
        except (UnavailableError, redis.RedisError) as error:
            # With a valid lease of this worker, the reaper would not reclaim the response.
            logger.warning(
                "response handed back", extra={**claimed.log_fields, "error": str(error)}
            )
            if isinstance(error, redis.RedisError):
                self._redis_away_until = time.monotonic() + self._redis_away_s
            self._retrier.run(claimed, lambda: self._services.store.claims.hand_back([claimed]))
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
            prompt = encode_prompt(self._services.encoder, parameters, [*kept, *opening.items])
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

        An input that is too long is compacted if the request asks for it.
        """
        plan = plan_compaction(self._services.encoder, parameters, items)
        if plan is None:
            return items
        if not self._compact(recorder, parameters, plan, calls):
            return None
        return self._compacted_items(recorder)

    def _open(self, recorder: Recorder, opening: McpOpening, mcp: McpTools) -> bool:
        """Do what comes before the first token; return False if the response does not go on."""
        generation = Generation(
            recorder.record,
            recorder,
            [],
            num_prompt_tokens=0,
            format_logprob=self._logprob_formatter.format,
        )
        generation.add_notes(opening.token_ids)
        generation.is_opening = True
        with self._registered(generation) as is_registered:
            if not is_registered:
                return False
            try:
                for token_ids in opening.run(mcp, recorder.flush, generation.is_call_abandoned):
                    generation.add_notes(token_ids)
                    self._save(generation)
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
        record = recorder.record
        generation = Generation(
            record,
            recorder,
            [self._build_pipeline(parameters, prompt) for _ in range(parameters.num_choices)],
            num_prompt_tokens=len(prompt),
            format_logprob=self._logprob_formatter.format,
            rules=_output_rules(parameters),
        )
        generation.add_notes(opening.token_ids, num_calls=opening.num_calls)
        is_over = generation.resume(*tokens)
        if record.cancel_requested:
            usage = generation.usage()
            self._finalizer.finish(
                recorder, EndingCause(status=ResponseStatus.CANCELLED, usage=usage)
            )
            return None
        if is_over:
            self._finalizer.finish(recorder, self._validated(generation, parameters))
            return None
        if tokens[1]:
            recorder.flush()
        return generation

    def _build_pipeline(
        self, parameters: GenerationParameters, prompt: EncodedPrompt
    ) -> TextPipeline:
        encoder, rule = self._services.encoder, call_rule(parameters)
        can_call = rule.tools or offered_search(parameters)
        turn_format = TurnFormat(
            think_tags=encoder.think_tags,
            call_format=format_of(parameters, encoder.profile) if can_call else None,
            functions=frozenset(rule.by_name),
            inputs=rule.input_ends,
        )
        return TextPipeline(
            self._services.tokenizer,
            parameters.stop,
            turn_format,
            opens_reasoning=prompt.opens_reasoning,
        )

    def _generate(
        self,
        generation: Generation,
        parameters: GenerationParameters,
        prompt: EncodedPrompt,
        calls: HostedCalls,
    ) -> None:
        """Run the generation to its end and write that."""
        with self._registered(generation) as is_registered:
            if is_registered and self._run_turns(generation, parameters, prompt, calls):
                self._finalizer.finish(generation.recorder, self._validated(generation, parameters))

    @contextmanager
    def _registered(self, generation: Generation) -> Iterator[bool]:
        """Register a generation as running; hand it back and yield False if the worker stops."""
        if not self._services.running.add(generation):
            self._services.store.claims.hand_back([generation.record])
            yield False
            return
        try:
            yield True
        finally:
            self._services.running.remove(generation)

    def _run_turns(
        self,
        generation: Generation,
        parameters: GenerationParameters,
        prompt: EncodedPrompt,
        calls: HostedCalls,
    ) -> bool:
        """Run a generation turn by turn; return False if it was released to another worker."""
        while self._run_turn(generation, parameters, prompt, calls):
            pass
        return not generation.is_released

    def _compact(
        self,
        recorder: Recorder,
        parameters: GenerationParameters,
        plan: CompactionPlan,
        calls: HostedCalls,
    ) -> bool:
        """Record the compaction of the input, unless an earlier attempt has.

        Return False if the response has ended meanwhile, or goes on in another worker.
        """
        if recorder.compaction is not None:
            return True
        services, record = self._services, recorder.record
        recorder.flush()  # readers see that it has begun
        summarising = UnloggedRecorder(record, services.log, services.cipher)
        summarising.begin()
        parameters = plan.summary_parameters(parameters)
        prompt = encode_prompt(services.encoder, parameters, plan.summary_items())
        generation = Generation(
            record,
            summarising,
            [self._build_pipeline(parameters, prompt)],
            num_prompt_tokens=len(prompt),
            format_logprob=self._logprob_formatter.format,
        )
        with self._registered(generation) as is_registered:
            if not is_registered or not self._run_turns(generation, parameters, prompt, calls):
                return False
        if not generation.cause.has_output:
            self._finalizer.finish(recorder, generation.cause)
            return False
        content = encrypt_compaction(
            services.cipher, record.project_id, summarising.text, plan.kept
        )
        recorder.add_compaction(content)
        recorder.flush()
        return True

    def _compacted_items(self, recorder: Recorder) -> list[dict[str, Any]]:
        """Return what the compaction of the input leaves of it."""
        item = {"type": "compaction", "encrypted_content": recorder.compaction}
        return decrypt_items(self._services.cipher, recorder.record.project_id, [item])

    def _validated(self, generation: Generation, parameters: GenerationParameters) -> EndingCause:
        """Return the cause of the end: a failure if the output breaks its constraints."""
        if not self._services.validates_output:
            return generation.cause
        return validated_cause(generation.cause, generation.recorder, parameters)

    def _run_turn(
        self,
        generation: Generation,
        parameters: GenerationParameters,
        prompt: EncodedPrompt,
        calls: HostedCalls,
    ) -> bool:
        """Run due calls, then generate to the next ones or the end; return True to continue."""
        if generation.waiting:
            generation.pause()
            # The client sees the whole call while it is made.
            generation.recorder.flush()
            calls.run(generation, parameters, len(prompt))
            if not generation.recorder.is_stale:
                generation.recorder.flush()
                self._save(generation)
            if generation.is_interrupted:
                generation.interrupt()
                return False
            if generation.continue_after_calls():
                return bool(generation.waiting)
        requests = engine_requests(
            generation, parameters, prompt, breakers=self._breakers, encoder=self._services.encoder
        )
        self._services.emitter.add(generation)
        for request in requests:
            self._submit(generation, request)
        generation.wait()
        return bool(generation.waiting)

    def _begin_call(self, record: ResponseRecord, number: int) -> bool:
        """Note for good that a call may have been made; return False if the attempt is stale."""
        checkpoints = self._services.store.checkpoints
        return self._retrier.run(record, lambda: checkpoints.begin_call(record, number))

    def _save(self, generation: Generation) -> None:
        """Write a checkpoint with the result of a call, in case the log is lost."""
        record = generation.checkpointed_record()
        if record is None or generation.is_released:
            return
        try:
            self._services.store.checkpoints.write([record])
        except UnavailableError as error:
            logger.warning(
                "checkpoint not written", extra={**record.log_fields, "error": str(error)}
            )

    def _submit(self, generation: Generation, request: GenerationRequest) -> None:
        try:
            self._services.engine.submit(request)
        except Exception as error:
            logger.warning("engine refused", extra=generation.record.log_fields, exc_info=True)
            self._services.emitter.on_step(
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
            # The abort came before the engine had this sequence.
            self._services.engine.abort(request.sequence_id)


def _max_hosted(parameters: GenerationParameters) -> Counter[HostedType]:
    """Return the most calls that the server answers, by the type of their items."""
    limit = parameters.max_tool_calls or MAX_MCP_CALLS
    most: Counter[HostedType] = Counter()
    if offered_search(parameters) is not None:
        most["web_search_call"] = min(limit, MAX_SEARCHES)
    if has_mcp(parameters):
        most["mcp_call"] = min(limit, MAX_MCP_CALLS)
    return most


def _output_rules(parameters: GenerationParameters) -> OutputRules:
    rule = call_rule(parameters)
    return OutputRules(
        hides_reasoning=parameters.effort == "none",
        shows_sources=SOURCES in parameters.include,
        max_hosted=_max_hosted(parameters),
        max_calls=rule.max_calls,
        functions=rule.by_name,
    )
