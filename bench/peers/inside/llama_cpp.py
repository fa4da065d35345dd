"""llama.cpp by its C interface, with batches as its own server makes them.

Each step computes the last token of every sequence that generates, and as much of the prompts as
fits beside them; every sequence has a cache of its own, which is faster with many of them.
"""

import ctypes
from dataclasses import dataclass, field
from typing import Any

import llama_cpp as api

from bench.peers.inside.pipe import Clock, arguments, serve

_BATCH_TOKENS = 2048
"""As in its server."""


@dataclass(slots=True)
class Sequence:
    """One prompt and how far it is."""

    number: int
    prompt: list[int]
    num_left: int
    num_computed: int = 0
    last: int = -1
    """The token that is computed next, once the prompt is."""
    row: int = -1
    """Where in the batch its next token is drawn from; negative if it is not."""

    @property
    def is_generating(self) -> bool:
        """Whether its prompt is computed."""
        return self.num_computed >= len(self.prompt)


@dataclass(slots=True)
class Batch:
    """Rows for one call."""

    rows: Any = field(default_factory=lambda: api.llama_batch_init(_BATCH_TOKENS, 0, 1))

    def add(self, token: int, position: int, sequence: int, *, is_drawn: bool) -> int:
        """Add a row; return its number."""
        row = int(self.rows.n_tokens)
        self.rows.token[row] = token
        self.rows.pos[row] = position
        self.rows.n_seq_id[row] = 1
        self.rows.seq_id[row][0] = sequence
        self.rows.logits[row] = is_drawn
        self.rows.n_tokens = row + 1
        return row


class Context:
    """A model that is read, and a cache for all sequences."""

    def __init__(self, file: str, num_threads: int, max_streams: int, max_tokens: int) -> None:
        """Read a GGUF file."""
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
        """Step until every prompt has its tokens."""
        api.llama_memory_clear(api.llama_get_memory(self._context), False)
        waiting = [Sequence(number, prompt, num_tokens) for number, prompt in enumerate(prompts)]
        while waiting:
            self._fill(waiting)
            if api.llama_decode(self._context, self._batch.rows):
                raise RuntimeError("llama.cpp computes no batch")
            for sequence in waiting:
                self._draw(sequence, clock)
            waiting = [each for each in waiting if each.num_left]
        return len(prompts) * num_tokens

    def _fill(self, sequences: list[Sequence]) -> None:
        self._batch.rows.n_tokens = 0
        for each in sequences:
            each.row = -1
            if each.is_generating:
                each.row = self._batch.add(each.last, each.num_computed, each.number, is_drawn=True)
                each.num_computed += 1
        for each in sequences:
            while not each.is_generating and self._batch.rows.n_tokens < _BATCH_TOKENS:
                self._add_prompt_token(each)

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


def _say_nothing(level: int, text: bytes, data: ctypes.c_void_p) -> None:
    """llama.cpp tells every tensor that it reads."""


_LOG = api.llama_log_callback(_say_nothing)


if __name__ == "__main__":
    api.llama_log_set(_LOG, ctypes.c_void_p(0))
    serve(Context(**arguments()).work)
