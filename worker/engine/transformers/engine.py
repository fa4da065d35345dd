"""Continuous batching over a transformers model.

A step reads: schedule, forward, penalise, mask, sample, advance. Each of these words has its own
module.
"""

from collections.abc import Collection
from threading import get_native_id
from typing import Any

import torch
from llguidance import LLTokenizer
from torch import Tensor

from worker.engine.cpu_cores import lower_priority, thread_ids
from worker.engine.device_errors import is_device_lost, is_out_of_memory, release_memory
from worker.engine.interface import (
    Delta,
    EngineConfig,
    FinishReason,
    GenerationRequest,
    Logprobs,
    RequestTooLargeError,
    StepListener,
)
from worker.engine.loop import EngineLoop
from worker.engine.sampling.forced_prefix import prefer
from worker.engine.sampling.grammar import MASK_SLICES, GrammarCompiler, GrammarMasker
from worker.engine.sampling.logprobs import RawScores
from worker.engine.sampling.penalties import Penalties, penalise
from worker.engine.sampling.sampler import Draw, sample
from worker.engine.sequence import Sequence
from worker.engine.transformers.batch.blocks import BlockPool
from worker.engine.transformers.batch.chunk import due_sequences
from worker.engine.transformers.batch.scheduler import Scheduler
from worker.engine.transformers.model_runner import ModelRunner


class TransformersEngine(EngineLoop):
    """Runs any causal model whose attention goes through transformers' attention interface."""

    def __init__(self, config: EngineConfig, on_step: StepListener) -> None:
        """Load the weights, which takes seconds to minutes.

        Raises `UnsupportedModelError` for a model that the engine cannot run correctly.
        """
        super().__init__(on_step)
        self._config = config
        others = thread_ids()
        self._runner = ModelRunner(config)
        lower_priority(thread_ids() - others)
        self._scheduler = Scheduler(
            BlockPool(self._runner.num_blocks, self._runner.block_size),
            max_sequences=config.max_sequences,
            max_batch_tokens=config.max_batch_tokens,
        )
        self._grammars = GrammarCompiler(self._load_tokenizer, config.grammar_limits)
        self._masker = GrammarMasker(config.max_sequences, self._runner.vocab_size)

    @property
    def context_length(self) -> int:
        """Most tokens, prompt included, of one sequence: what model and cache both hold."""
        return self._runner.context_length

    def _load_tokenizer(self) -> LLTokenizer:
        # With the first grammar, and not before the engine is ready.
        from llguidance.hf import from_tokenizer
        from transformers import AutoTokenizer

        tokenizer: Any = AutoTokenizer.from_pretrained(self._config.folder, local_files_only=True)
        eos_token_ids = sorted(self._runner.eos_token_ids) or None
        # Some tokenizers have a token more than the network: one for padding, say.
        num_tokens = max(self._runner.vocab_size, len(tokenizer))
        return from_tokenizer(tokenizer, num_tokens, eos_token_ids, MASK_SLICES)

    def _prepare(self, request: GenerationRequest) -> Sequence:
        if not request.prompt:
            raise ValueError("the prompt is empty")
        if len(request.prompt) >= self.context_length:
            raise RequestTooLargeError(
                f"a prompt of {len(request.prompt)} tokens leaves no room "
                f"in a context of {self.context_length}"
            )
        matcher = None if request.grammar is None else self._grammars.matcher(request.grammar)
        images = self._runner.encode_images(request.images, request.cache_salt)
        sequence = Sequence(request, matcher, Penalties.of(request), images)
        opening = request.opening.token_ids if request.opening else ()
        named = [*sequence.tokens, *request.params.logit_bias, *opening]
        if min(named) < 0 or max(named) >= self._runner.vocab_size:
            raise ValueError(f"token ids must lie in 0..{self._runner.vocab_size - 1}")
        if matcher is not None:
            matcher.advance(request.generated)
        return sequence

    def _enter(self, sequence: Sequence) -> list[Delta]:
        if (ending := self._ending(sequence)) is not None:
            return [ending]
        self._scheduler.add(sequence)
        return []

    def _remove(self, sequence: Sequence) -> None:
        self._scheduler.remove(sequence)

    def _running(self) -> Collection[Sequence]:
        return self._scheduler.running

    def _run(self) -> None:
        lower_priority({get_native_id()} & thread_ids())
        super()._run()

    @torch.inference_mode()
    def _step(self) -> list[Delta]:
        batch = self._scheduler.schedule()
        if not batch:
            return []
        self._has_prompts = any(chunk.num_tokens > 1 for chunk in batch)
        logits = self._runner.forward(batch)
        due = due_sequences(batch)
        drawn = self._draw(logits, due) if due else []
        # Not before: a step that runs out of memory until here is done again.
        self._scheduler.advance(batch)
        return [self._append(*each) for each in drawn]

    def _draw(
        self, logits: Tensor, due: list[Sequence]
    ) -> list[tuple[Sequence, int | None, Logprobs | None]]:
        """Choose the next token of each sequence; only `sample` waits for the device."""
        raw = RawScores(logits, [each.params.num_top_logprobs for each in due])
        penalise(logits, [sequence.penalties for sequence in due])
        prefer(logits, [sequence.beginning for sequence in due])
        self._masker.apply(logits, [sequence.matcher for sequence in due])
        draws = [Draw(each.params, each.num_generated) for each in due]
        return list(zip(due, *sample(logits, draws, raw), strict=True))

    def _makes_room(self, error: Exception) -> bool:
        if not is_out_of_memory(error):
            return False
        release_memory(error)
        return self._scheduler.shed()

    def _loses_device(self, error: Exception) -> bool:
        return is_device_lost(error)

    def _append(self, sequence: Sequence, token: int | None, logprobs: Logprobs | None) -> Delta:
        if token is None or sequence.grammar_error is not None:
            return self._fail(sequence, sequence.grammar_error or "no token has a finite score")
        sequence.tokens.append(token)
        if sequence.penalties is not None:
            sequence.penalties.advance(token)
        if sequence.matcher is not None:
            sequence.matcher.advance([token])
        ending = self._ending(sequence, token, logprobs)
        return ending or sequence.delta(token, logprobs=logprobs)

    def _ending(
        self, sequence: Sequence, token: int | None = None, logprobs: Logprobs | None = None
    ) -> Delta | None:
        """Remove the sequence and return its last delta if it ends here."""
        if sequence.grammar_error is not None:
            return self._fail(sequence, sequence.grammar_error)
        reason = sequence.finish_reason(self._runner.eos_token_ids, self.context_length)
        if reason is None:
            return None
        self._remove(sequence)
        return sequence.delta(token, reason, logprobs=logprobs)

    def _fail(self, sequence: Sequence, error: str) -> Delta:
        self._remove(sequence)
        return sequence.delta(None, FinishReason.ERROR, error)
