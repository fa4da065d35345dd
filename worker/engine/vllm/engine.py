"""Engine over vLLM: it schedules and computes, on our engine thread; our drawer draws the tokens.

What vLLM would decide beyond the logits, as ends, limits, log probabilities and errors, is decided
here, as in our own engine.
"""

import logging
from collections.abc import Collection, Iterable, Mapping
from threading import get_native_id
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import torch
from llguidance import LLTokenizer

from worker.engine.cpu_cores import lower_priority, thread_ids
from worker.engine.device_errors import is_out_of_memory
from worker.engine.interface import (
    Delta,
    EngineConfig,
    FinishReason,
    GenerationRequest,
    RequestTooLargeError,
    StepListener,
)
from worker.engine.loop import EngineLoop
from worker.engine.sampling.grammar import GrammarCompiler
from worker.engine.sequence import Sequence, SequenceStatus
from worker.engine.transformers.device import resolve_device
from worker.engine.vllm import drawing
from worker.engine.vllm.image_check import load_images
from worker.engine.vllm.loading import compile_nothing, end_token_ids, load_vllm
from worker.engine.vllm.outputs import read_logprobs, read_token, to_params, to_prompt
from worker.engine.vllm.sequence import VllmSequence
from worker.engine.vllm.versions import check_version

if TYPE_CHECKING:
    from vllm.outputs import RequestOutput

logger = logging.getLogger(__name__)


class VllmEngine(EngineLoop):
    """Engine for every model and device that vLLM runs, on one or many devices."""

    def __init__(self, config: EngineConfig, on_step: StepListener) -> None:
        """Load the weights, which takes seconds to minutes.

        Raises `UnsupportedModelError` with vLLM's reason, or if vLLM is not installed in a version
        that this engine knows, and `ModelTooLargeError`.
        """
        super().__init__(on_step)
        check_version()
        self._config = config
        self._sequences: dict[str, Sequence] = {}
        """Sequences in vLLM, in order of arrival."""
        self._undrawn: set[str] = set()
        """Those that the last step drew no token for: the next may compute a prompt of theirs."""
        self._setup = _setup(config)
        self._grammars = GrammarCompiler(
            self._load_tokenizer, config.grammar_limits, find_error=config.find_grammar_error
        )
        drawing.share_compiler(self._setup.key, self._grammars)
        self._eos_token_ids = frozenset(self._setup.eos_token_ids)
        other_threads = thread_ids()
        self._engine: Any = load_vllm(config, self._setup)
        self._engine.model_executor.register_failure_callback(self._lose)
        lower_priority(thread_ids() - other_threads)
        self._images = load_images(self._engine, config.image_sample)
        model_config = self._engine.vllm_config.model_config
        self._context_length = int(model_config.max_model_len)
        self._vocab_size = int(model_config.get_vocab_size())

    def stop(self) -> None:
        """Abort every sequence, join the thread and end vLLM's processes; idempotent."""
        super().stop()
        # Its processes end when the engine is collected.
        self._engine = None
        drawing.forget(self._setup.key)

    @property
    def context_length(self) -> int:
        """Largest number of tokens of one sequence, prompt included, that model and cache hold."""
        return self._context_length

    @property
    def reads_images(self) -> bool:
        """Return True if prompts may have images."""
        return self._images is not None

    def device_memory(self) -> tuple[str, int]:
        """Return the type of its device, and the bytes that this process holds on it."""
        if resolve_device(self._config.device).type == "cuda":
            return "cuda", torch.cuda.memory_reserved()
        return super().device_memory()

    def _load_tokenizer(self) -> LLTokenizer:
        return self._setup.load_tokenizer(self._vocab_size)

    def _prepare(self, request: GenerationRequest) -> Sequence:
        if not request.prompt:
            raise ValueError("the prompt is empty")
        if len(request.prompt) >= self._context_length:
            raise RequestTooLargeError(
                f"a prompt of {len(request.prompt)} tokens leaves no room "
                f"in a context of {self._context_length}"
            )
        if request.images and self._images is None:
            raise ValueError("this engine takes no images")
        forced_prefix = request.forced_prefix.token_ids if request.forced_prefix else ()
        tokens = [*request.prompt, *request.generated]
        token_ids = [*tokens, *request.params.logit_bias, *forced_prefix]
        if min(token_ids) < 0 or max(token_ids) >= self._vocab_size:
            raise ValueError(f"token ids must lie in 0..{self._vocab_size - 1}")
        matcher = None
        if request.grammar is not None:
            # For the end of the sequence alone: the drawer has its own, which masks.
            matcher = self._grammars.matcher(request.grammar)
            matcher.advance(request.generated)
        images = self._images.to_input(request) if self._images and request.images else None
        return VllmSequence(request, matcher, images)

    def _enter(self, sequence: Sequence) -> list[Delta]:
        assert isinstance(sequence, VllmSequence)
        if sequence.grammar_error is not None:
            return [self._fail(sequence, sequence.grammar_error)]
        if (reason := self._finish_reason(sequence)) is not None:
            sequence.status = SequenceStatus.FINISHED
            return [sequence.delta(None, reason)]
        try:
            self._engine.add_request(sequence.id, to_prompt(sequence), to_params(sequence))
        except Exception as error:
            if self._has_failed():
                self._lose()
                return []
            logger.exception("request refused by vLLM")
            return [self._fail(sequence, f"{type(error).__name__}: {error}")]
        self._sequences[sequence.id] = sequence
        self._undrawn.add(sequence.id)
        return []

    def _remove(self, sequence: Sequence) -> None:
        sequence.status = SequenceStatus.FINISHED
        self._undrawn.discard(sequence.id)
        if self._sequences.pop(sequence.id, None) is not None and not self.is_lost:
            self._engine.abort_request([sequence.id])

    def _running(self) -> Collection[Sequence]:
        return list(self._sequences.values())[: self._config.max_sequences]

    def _run(self) -> None:
        lower_priority({get_native_id()} & thread_ids())
        # OpenMP counts threads for each thread that calls it. torch tells it here, at the first use
        # of its own in a thread, but kernels of vLLM may ask before.
        torch.get_num_threads()
        if self._engine.vllm_config.model_config.enforce_eager:
            compile_nothing()
        super()._run()

    def _step(self) -> list[Delta]:
        running = (sequence.id for sequence in self._running())
        self._has_prompts = not self._undrawn.isdisjoint(running)
        outputs = [output for output in self._engine.step() if output.request_id in self._sequences]
        tokens = {output.request_id: read_token(output) for output in outputs}
        # What vLLM has put off is computed like a prompt when there is room for it again.
        self._undrawn = {name for name in self._sequences if tokens.get(name) is None}
        failures = self._take_failures(tokens.values())
        return [
            self._append(output, token, failures)
            for output in outputs
            if (token := tokens[output.request_id]) is not None
        ]

    def _take_failures(self, tokens: Iterable[int | None]) -> dict[str, str]:
        """Return the errors of sequences that the drawer could not go on with."""
        if self._setup.failure_token not in tokens:
            return {}
        [failures, *_] = self._engine.collective_rpc("take_failures", args=(self._setup.key,))
        return dict(failures)

    def _append(self, output: "RequestOutput", token: int, failures: Mapping[str, str]) -> Delta:
        sequence = self._sequences[output.request_id]
        if sequence.num_cached is None:
            sequence.num_cached = min(output.num_cached_tokens or 0, sequence.num_prompt)
        if sequence.is_prompt_only:
            self._remove(sequence)
            return sequence.delta(None, FinishReason.LENGTH)
        if sequence.id in failures:
            return self._fail(sequence, failures[sequence.id])
        sequence.tokens.append(token)
        if sequence.matcher is not None:
            sequence.matcher.advance([token])
            if sequence.grammar_error is not None:
                return self._fail(sequence, sequence.grammar_error)
        reason = self._finish_reason(sequence)
        if reason is not None:
            self._remove(sequence)
        logprobs = read_logprobs(output, sequence.params.num_top_logprobs)
        return sequence.delta(token, reason, logprobs=logprobs)

    def _finish_reason(self, sequence: Sequence) -> FinishReason | None:
        return sequence.finish_reason(self._eos_token_ids, self._context_length)

    def _fail(self, sequence: Sequence, error: str) -> Delta:
        self._remove(sequence)
        return sequence.delta(None, FinishReason.ERROR, error)

    def _lose(self) -> None:
        """Note the death of a process that computes a part of the model, also between steps."""
        logger.error("a process of vLLM has died")
        self._is_lost = True

    def _has_failed(self) -> bool:
        """Return True once vLLM has noted the death of a process.

        It calls `_lose` only after it has cleaned up, seconds later. An executor without processes
        of its own has no such mark.
        """
        return bool(getattr(self._engine.model_executor, "is_failed", False))

    def _is_device_lost(self, error: Exception) -> bool:
        """Return True: vLLM's scheduler cannot go on after a step that has failed.

        The process gives up its responses and exits. Others resume them, and one that brings down
        each of its workers is found, as it then runs alone.
        """
        if is_out_of_memory(error):
            logger.critical("out of memory: lower ANTIPHON_MAX_SEQUENCES or the cache's memory")
        return True


def _setup(config: EngineConfig) -> drawing.DrawingSetup:
    make = config.make_grammar_tokenizer
    return drawing.DrawingSetup(
        key=uuid4().hex,
        folder=str(config.folder),
        eos_token_ids=end_token_ids(config.folder),
        grammar_limits=dict(config.grammar_limits),
        make_grammar_tokenizer="" if make is None else f"{make.__module__}:{make.__qualname__}",
    )
