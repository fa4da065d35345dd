"""Continuous batching of OpenVINO GenAI on token ids."""

from typing import Any

import numpy as np
import openvino
import openvino_genai

from bench.peers.inside.pipe import Clock, arguments, serve


class Pipeline:
    """Compiled model with its KV cache."""

    def __init__(self, folder: str, cache_gib: int, properties: dict[str, Any]) -> None:
        """Compile the model; sizes other than that of the cache keep their defaults."""
        scheduling = openvino_genai.SchedulerConfig()
        scheduling.cache_size = cache_gib
        self._pipeline = openvino_genai.ContinuousBatchingPipeline(
            folder, scheduling, "CPU", properties
        )
        self._next_id = 0

    def work(self, prompts: list[list[int]], num_tokens: int, clock: Clock) -> int:
        """Add all requests, and step until all are finished; return the number of tokens."""
        config = openvino_genai.GenerationConfig(
            max_new_tokens=num_tokens, min_new_tokens=num_tokens, ignore_eos=True, do_sample=False
        )
        handles = [self._add(prompt, config) for prompt in prompts]
        total = 0
        while self._pipeline.has_non_finished_requests():
            self._pipeline.step()
            for number, handle in enumerate(handles):
                total += _read(handle, number, clock)
        return total

    def _add(self, prompt: list[int], config: Any) -> Any:
        self._next_id += 1
        tensor = openvino.Tensor(np.array([prompt], dtype=np.int64))
        return self._pipeline.add_request(self._next_id, tensor, config)


def _read(handle: Any, number: int, clock: Clock) -> int:
    total = 0
    while handle.can_read():
        for output in handle.read().values():
            total += len(output.generated_ids)
            clock(number)
    return total


if __name__ == "__main__":
    serve(Pipeline(**arguments()).work)
