"""Turns of a generation: a sequence of the engine, then the hosted calls that it ends with."""

import logging
import time

from models.chat.prompt import ChatEncoder, EncodedPrompt
from models.schemas.request.parameters import GenerationParameters
from models.tracing.spans import measured
from worker.engine.interface import (
    Delta,
    Engine,
    EngineStoppedError,
    FinishReason,
    GenerationRequest,
)
from worker.generation.call_checkpoints import CallCheckpoints
from worker.generation.emitter import Emitter
from worker.generation.generation import Generation
from worker.generation.request.dry_breakers import DryBreakerCompiler
from worker.generation.request.engine_request import engine_requests
from worker.generation.tracing import trace_turn
from worker.hosted.between_turns import HostedCalls

logger = logging.getLogger(__name__)


class TurnLoop:
    """Runs generations turn by turn, each on the calling task thread."""

    def __init__(
        self,
        encoder: ChatEncoder,
        engine: Engine,
        emitter: Emitter,
        checkpoints: CallCheckpoints,
    ) -> None:
        self._encoder = encoder
        self._engine = engine
        self._emitter = emitter
        self._checkpoints = checkpoints
        self._breakers = DryBreakerCompiler(encoder.token_texts)

    def run(
        self,
        generation: Generation,
        parameters: GenerationParameters,
        prompt: EncodedPrompt,
        calls: HostedCalls,
    ) -> bool:
        """Run a generation to its end; return False if it was released to another worker."""
        while self._run_turn(generation, parameters, prompt, calls):
            pass
        return not generation.is_released

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
            with measured("hosted calls"):
                calls.run(generation, parameters, len(prompt))
            if not generation.recorder.is_stale:
                generation.recorder.flush()
                self._checkpoints.save(generation)
            if generation.is_interrupted:
                generation.interrupt()
                return False
            if generation.continue_after_calls():
                return bool(generation.waiting)
        requests = engine_requests(
            generation, parameters, prompt, breakers=self._breakers, encoder=self._encoder
        )
        submitted_ns, num_before = time.time_ns(), generation.num_generated
        generation.first_token_ns = 0
        self._emitter.add(generation)
        for request in requests:
            self._submit(generation, request)
        generation.wait()
        num_tokens = generation.num_generated - num_before
        trace_turn(submitted_ns, generation.first_token_ns, num_tokens)
        return bool(generation.waiting)

    def _submit(self, generation: Generation, request: GenerationRequest) -> None:
        try:
            self._engine.submit(request)
        except EngineStoppedError:
            # No fault of the request: another worker may run it.
            raise
        except Exception as error:
            logger.warning("engine refused", extra=generation.record.log_fields, exc_info=True)
            self._emitter.on_step(
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
            self._engine.abort(request.sequence_id)
