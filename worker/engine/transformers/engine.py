"""Engine with continuous batching over a transformers model.

The stages of a step are schedule, forward, penalise, mask, sample and advance, each in a module of
its own.
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
from worker.engine.sampling.forced_prefix import apply_forced_prefixes
from worker.engine.sampling.grammar import GrammarCompiler, GrammarMasker
from worker.engine.sampling.logprobs import RawScores
from worker.engine.sampling.penalties import Penalties, penalise
from worker.engine.sampling.sampler import Draw, sample
from worker.engine.sequence import Sequence
from worker.engine.transformers.batch.chunk import due_sequences
from worker.engine.transformers.batch.scheduler import Scheduler
from worker.engine.transformers.batch.state_blocks import make_block_pool
from worker.engine.transformers.device import resolve_device
from worker.engine.transformers.model_runner import ModelRunner


class TransformersEngine(EngineLoop):
    """Engine for any causal model that uses transformers' attention interface."""

    def __init__(self, config: EngineConfig, on_step: StepListener) -> None:
        """Load the weights, which takes seconds to minutes.

        Raises `UnsupportedModelError` for a model that the engine cannot run correctly, and
        `ModelTooLargeError`.
        """
        super().__init__(on_step)
        self._config = config
        other_threads = thread_ids()
        self._runner = ModelRunner(config)
        lower_priority(thread_ids() - other_threads)
        self._scheduler = Scheduler(
            make_block_pool(self._runner.num_blocks, self._runner.block_size, self._runner.states),
            max_sequences=config.max_sequences,
            max_batch_tokens=config.max_batch_tokens,
            original_length=self._runner.original_length,
        )
        self._grammars = GrammarCompiler(
            self._load_tokenizer, config.grammar_limits, find_error=config.find_grammar_error
        )
        self._masker = GrammarMasker(config.max_sequences, self._runner.vocab_size)

    @property
    def context_length(self) -> int:
        """Largest number of tokens of one sequence, prompt included, that model and cache hold."""
        return self._runner.context_length

    @property
    def reads_images(self) -> bool:
        """Return True if prompts may have images."""
        return self._config.image_sample is not None

    def device_memory(self) -> tuple[str, int]:
        """Return the type of its device, and the bytes that this process holds on it."""
        if resolve_device(self._config.device).type == "cuda":
            return "cuda", torch.cuda.memory_reserved()
        return super().device_memory()

    def _load_tokenizer(self) -> LLTokenizer:
        # Imported at the first grammar, because this import would delay the start.
        from transformers import AutoTokenizer

        assert self._config.make_grammar_tokenizer is not None
        tokenizer: Any = AutoTokenizer.from_pretrained(self._config.folder, local_files_only=True)
        # Some tokenizers have more tokens than the network, such as one for padding.
        num_tokens = max(self._runner.vocab_size, len(tokenizer))
        made: LLTokenizer = self._config.make_grammar_tokenizer(
            tokenizer,
            num_tokens=num_tokens,
            eos_token_ids=sorted(self._runner.eos_token_ids),
        )
        return made

    def _prepare(self, request: GenerationRequest) -> Sequence:
        if not request.prompt:
            raise ValueError("the prompt is empty")
        if len(request.prompt) >= self.context_length:
            raise RequestTooLargeError(
                f"a prompt of {len(request.prompt)} tokens leaves no room "
                f"in a context of {self.context_length}"
            )
        matcher = (
            None
            if request.grammar is None
            else self._grammars.matcher(request.grammar, request.json)
        )
        images = self._runner.encode_images(request.prompt, request.images, request.cache_salt)
        sequence = Sequence(request, matcher, Penalties.from_request(request), images)
        forced_prefix = request.forced_prefix.token_ids if request.forced_prefix else ()
        token_ids = [*sequence.tokens, *request.params.logit_bias, *forced_prefix]
        if min(token_ids) < 0 or max(token_ids) >= self._runner.vocab_size:
            raise ValueError(f"token ids must lie in 0..{self._runner.vocab_size - 1}")
        if matcher is not None:
            matcher.advance(request.generated)
        return sequence

    def _enter(self, sequence: Sequence) -> list[Delta]:
        if (last_delta := self._finish_if_ended(sequence)) is not None:
            return [last_delta]
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
        # Only now, so that a step that runs out of memory before can be repeated.
        self._scheduler.advance(batch)
        return [self._append(*sampled) for sampled in drawn]

    def _draw(
        self, logits: Tensor, due: list[Sequence]
    ) -> list[tuple[Sequence, int | None, Logprobs | None]]:
        """Sample the next token of each sequence; only `sample` waits for the device."""
        raw = RawScores(logits, [sequence.params.num_top_logprobs for sequence in due])
        penalise(logits, [sequence.penalties for sequence in due])
        apply_forced_prefixes(logits, [sequence.forced_prefix_state for sequence in due])
        self._masker.apply(logits, [sequence.matcher for sequence in due])
        draws = [Draw(sequence.params, sequence.num_generated) for sequence in due]
        return list(zip(due, *sample(logits, draws, raw), strict=True))

    def _reduce_load(self, error: Exception) -> bool:
        if not is_out_of_memory(error):
            return False
        release_memory(error)
        return self._scheduler.reduce_load()

    def _is_device_lost(self, error: Exception) -> bool:
        return is_device_lost(error)

    def _append(self, sequence: Sequence, token: int | None, logprobs: Logprobs | None) -> Delta:
        if sequence.is_prompt_only:
            self._remove(sequence)
            return sequence.delta(None, FinishReason.LENGTH)
        if token is None or sequence.grammar_error is not None:
            return self._fail(sequence, sequence.grammar_error or "no token has a finite score")
        sequence.tokens.append(token)
        if sequence.penalties is not None:
            sequence.penalties.advance(token)
        if sequence.matcher is not None:
            sequence.matcher.advance([token])
        last_delta = self._finish_if_ended(sequence, token, logprobs)
        return last_delta or sequence.delta(token, logprobs=logprobs)

    def _finish_if_ended(
        self, sequence: Sequence, token: int | None = None, logprobs: Logprobs | None = None
    ) -> Delta | None:
        """Remove the sequence and return its last delta, or return None if it continues."""
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
