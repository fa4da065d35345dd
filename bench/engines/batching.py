"""The peer within this process: transformers' own continuous batching, on weights of its own.

`bench.peers` compares whole servers; this compares engines, and works on random weights too. Its
settings are the defaults of its authors, as far as they do not take memory that ours needs.
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
# It starts no prompt while less than 0.15 of them are free.
_PAGES_SLACK = 1.25
# What our engine computes at a time; on a GPU its default is another.
_CPU_BATCH_TOKENS = 512


class TransformersBatching:
    """A loaded model with its manager running, given batch after batch."""

    def __init__(
        self,
        folder: Path,
        device: str,
        dtype: str,
        *,
        has_random_weights: bool,
        largest: tuple[int, int],
    ) -> None:
        """Load the weights; `largest` is how many prompts a batch has at most, and how many tokens
        are generated for each."""
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
        """Stop its thread."""
        self._manager.stop(block=True, timeout=DEADLINE_S)
        self._manager.destroy()

    def run(self, prompts: Sequence[Sequence[int]], num_tokens: int) -> float:
        """Generate `num_tokens` for each prompt, greedily; return tokens a second, prompts
        included, as those of our engine."""
        began = self._clock()
        self._manager.add_requests(
            inputs=[list(prompt) for prompt in prompts], max_new_tokens=num_tokens
        )
        results = [self._manager.get_result(timeout=DEADLINE_S) for _ in prompts]
        seconds = self._clock() - began
        if any(each is None or each.error for each in results):
            raise BenchError("transformers' continuous batching has failed")
        found = {len(each.generated_tokens) for each in results}
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
