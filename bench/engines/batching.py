"""Runner that times batches on the continuous batching of transformers, in this process.

`bench.peers` compares whole servers; this compares engines, and also works on random weights. The
settings are the library's defaults, except where those would take memory that our engine needs.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig
from transformers.generation.configuration_utils import ContinuousBatchingConfig
from transformers.generation.continuous_batching.utils import WorkloadHints

from bench.engines.batches import DEADLINE_S, PROMPT_TOKENS, clock_of
from bench.server import BenchError
from worker.engine.transformers.device import resolve_dtype

_PAGE_TOKENS = 256
# transformers starts no prompt while less than 15 % of the pages are free.
_PAGES_SLACK = 1.25
# As in our engine; on a GPU transformers keeps its own default.
_CPU_BATCH_TOKENS = 512


class TransformersBatching:
    """Loaded model whose batching manager runs one batch after the other."""

    def __init__(
        self,
        folder: Path,
        device: str,
        dtype: str,
        *,
        has_random_weights: bool,
        largest: tuple[int, int],
    ) -> None:
        """Load the weights and start the manager's thread.

        `largest` is the largest batch: number of prompts, and tokens generated for each.
        """
        self._clock = clock_of(device)
        model = _load(folder, device, dtype, has_random_weights)
        max_count, num_tokens = largest
        untyped: Any = GenerationConfig
        pages = -(-(PROMPT_TOKENS + num_tokens) // _PAGE_TOKENS)
        self._manager = model.init_continuous_batching(
            generation_config=untyped(do_sample=False, eos_token_id=-1),
            continuous_batching_config=ContinuousBatchingConfig(
                page_size=_PAGE_TOKENS,
                num_blocks=4 + int(max_count * pages * _PAGES_SLACK),
                max_batch_tokens=_CPU_BATCH_TOKENS if device == "cpu" else None,
            ),
            workload_hints=WorkloadHints(
                max_prompt_length=PROMPT_TOKENS,
                max_generated_length=num_tokens,
                num_requests=max_count,
            ),
        )
        with torch.inference_mode():
            self._manager.warmup()
            self._manager.start()
        self.attention: str = model.config._attn_implementation

    def close(self) -> None:
        """Stop the manager's thread."""
        self._manager.stop(block=True, timeout=DEADLINE_S)
        self._manager.destroy()

    def run(self, prompts: Sequence[Sequence[int]], num_tokens: int) -> float:
        """Generate `num_tokens` greedily for each prompt; return tokens per second.

        Prefill is included, as in `Run.tokens_per_s`. Raises `BenchError` if a request fails.
        """
        began = self._clock()
        self._manager.add_requests(
            inputs=[list(prompt) for prompt in prompts], max_new_tokens=num_tokens
        )
        results = [self._manager.get_result(timeout=DEADLINE_S) for _ in prompts]
        seconds = self._clock() - began
        if any(result is None or result.error for result in results):
            raise BenchError("transformers' continuous batching has failed")
        found = {len(result.generated_tokens) for result in results}
        if found != {num_tokens}:
            raise BenchError(f"transformers' continuous batching gave {found} tokens")
        return len(prompts) * num_tokens / seconds


def _load(folder: Path, device: str, dtype: str, has_random_weights: bool) -> Any:
    loader: Any = AutoModelForCausalLM
    settings: Any = {
        "dtype": resolve_dtype(dtype, torch.device(device)),
        "attn_implementation": "sdpa",
    }
    with torch.device(device):
        if has_random_weights:
            config = AutoConfig.from_pretrained(folder, local_files_only=True)
            return loader.from_config(config, **settings).eval()
        return loader.from_pretrained(folder, local_files_only=True, **settings).eval()
