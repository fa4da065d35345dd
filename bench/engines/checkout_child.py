"""Child of `bench.engines.checkouts`: the engine of one checkout, in a process of its own.

Reads one line of JSON per batch, `[count, num_tokens]`, and writes its tokens per second of CPU
time as a line. The modules are those of the checkout, which is the working directory.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch

from bench.engines.batches import Bench
from models.grammars.tokenizer import grammar_tokenizer
from worker.engine.cpu_cores import num_cores
from worker.engine.interface import EngineConfig


def main() -> None:
    """Load the engine, then run one batch per line of the standard input."""
    folder, forward = sys.argv[1:]
    torch.set_num_threads(num_cores())
    settings: Any = {"dtype": "auto", "device": "cpu", "forward": forward}
    config = EngineConfig(
        folder=Path(folder),
        kv_cache_bytes=1 << 30,
        max_sequences=32,
        has_random_weights=False,
        num_threads=num_cores(),
        make_grammar_tokenizer=grammar_tokenizer,
        **settings,
    )
    bench = Bench(config)
    for line in sys.stdin:
        print(bench.run(*json.loads(line)).tokens_per_s, flush=True)
    bench.close()


main()
