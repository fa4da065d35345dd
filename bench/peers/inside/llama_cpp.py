"""llama.cpp through its C interface, with continuous batching like that of its own server.

Each step computes the last token of every decoding sequence, and as many prompt tokens as still fit
into the batch. Every sequence has a KV cache of its own, which is faster with many sequences.
"""

import ctypes
from dataclasses import dataclass, field
from typing import Any

import llama_cpp as api

from bench.peers.inside.pipe import Clock, arguments, serve

_BATCH_TOKENS = 2048
"""Tokens per batch at most, as in the server of llama.cpp."""


@dataclass(slots=True)
class Sequence:
    """Prompt and the progress of its generation."""

    number: int
    prompt: list[int]
    num_left: int
    num_computed: int = 0
    last: int = -1
    """Token to compute next, after the prompt."""
    row: int = -1
    """Row of the batch to sample its next token from; negative if there is none."""

    @property
    def is_generating(self) -> bool:
        """True if the whole prompt is computed."""
        return self.num_computed >= len(self.prompt)


@dataclass(slots=True)
class Batch:
    """Tokens to compute in one step, a row each."""

    rows: Any = field(default_factory=lambda: api.llama_batch_init(_BATCH_TOKENS, 0, 1))

    def add(self, token: int, position: int, sequence: int, *, is_drawn: bool) -> int:
        """Add a row; return its number. `is_drawn` asks for logits to sample from."""
        row = int(self.rows.n_tokens)
        self.rows.token[row] = token
        self.rows.pos[row] = position
        self.rows.n_seq_id[row] = 1
        self.rows.seq_id[row][0] = sequence
        self.rows.logits[row] = is_drawn
        self.rows.n_tokens = row + 1
        return row


class Context:
    """Loaded model with a KV cache for all sequences."""

    def __init__(self, file: str, num_threads: int, max_streams: int, max_tokens: int) -> None:
        """Load a GGUF file."""
        api.llama_backend_init()
        self._model = api.llama_model_load_from_file(
            file.encode(), api.llama_model_default_params()
        )
        settings = api.llama_context_default_params()
        settings.n_ctx = max_streams * max_tokens
        settings.n_seq_max = max_streams
        settings.n_batch = _BATCH_TOKENS
        settings.n_threads = settings.n_threads_batch = num_threads
        settings.kv_unified = False
        self._context = api.llama_init_from_model(self._model, settings)
        if not self._context:
            raise RuntimeError("llama.cpp makes no context")
        self._greedy = api.llama_sampler_init_greedy()
        self._batch = Batch()

    def work(self, prompts: list[list[int]], num_tokens: int, clock: Clock) -> int:
        """Step until every prompt has its tokens; return their number."""
        api.llama_memory_clear(api.llama_get_memory(self._context), False)
        waiting = [Sequence(number, prompt, num_tokens) for number, prompt in enumerate(prompts)]
        while waiting:
            self._fill(waiting)
            if api.llama_decode(self._context, self._batch.rows):
                raise RuntimeError("llama.cpp computes no batch")
            for sequence in waiting:
                self._draw(sequence, clock)
            waiting = [sequence for sequence in waiting if sequence.num_left]
        return len(prompts) * num_tokens

    def _fill(self, sequences: list[Sequence]) -> None:
        self._batch.rows.n_tokens = 0
        for sequence in sequences:
            sequence.row = -1
            if sequence.is_generating:
                sequence.row = self._batch.add(
                    sequence.last, sequence.num_computed, sequence.number, is_drawn=True
                )
                sequence.num_computed += 1
        for sequence in sequences:
            while not sequence.is_generating and self._batch.rows.n_tokens < _BATCH_TOKENS:
                self._add_prompt_token(sequence)

    def _add_prompt_token(self, sequence: Sequence) -> None:
        position = sequence.num_computed
        is_last = position + 1 == len(sequence.prompt)
        row = self._batch.add(
            sequence.prompt[position], position, sequence.number, is_drawn=is_last
        )
        sequence.row = row if is_last else -1
        sequence.num_computed += 1

    def _draw(self, sequence: Sequence, clock: Clock) -> None:
        if sequence.row < 0:
            return
        sequence.last = api.llama_sampler_sample(self._greedy, self._context, sequence.row)
        sequence.num_left -= 1
        clock(sequence.number)


def _ignore_log(level: int, text: bytes, data: ctypes.c_void_p) -> None:
    """Discard a log message: llama.cpp logs every tensor that it loads."""


_LOG = api.llama_log_callback(_ignore_log)


if __name__ == "__main__":
    api.llama_log_set(_LOG, ctypes.c_void_p(0))
    serve(Context(**arguments()).work)
