"""Capture of CUDA graphs, with a stub for CUDA."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from worker.engine.transformers.torch_forward.cuda_graphs import GraphCapture


class StubCuda:
    """Stub of `torch.cuda` that records calls in order; streams are represented by names."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.current = "main"
        self.events: list[str] = []
        monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: "pool")
        monkeypatch.setattr(torch.cuda, "Stream", lambda: self.new_stream("side"))
        monkeypatch.setattr(torch.cuda, "current_stream", lambda: self.new_stream(self.current))
        monkeypatch.setattr(torch.cuda, "stream", self.stream)
        monkeypatch.setattr(torch.cuda, "graph", self.graph)
        monkeypatch.setattr(torch.cuda, "CUDAGraph", self.new_graph)
        monkeypatch.setattr(
            torch.cuda, "set_sync_debug_mode", lambda mode: self.events.append(f"sync: {mode}")
        )

    def new_stream(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(name=name, wait_stream=lambda other: None)

    def new_graph(self) -> SimpleNamespace:
        return SimpleNamespace(replay=lambda: self.events.append("replay"))

    @contextmanager
    def stream(self, stream: SimpleNamespace) -> Iterator[None]:
        before, self.current = self.current, stream.name
        try:
            yield
        finally:
            self.current = before

    @contextmanager
    def graph(
        self, graph: Any, *, pool: str, stream: Any, capture_error_mode: str
    ) -> Iterator[None]:
        """Leave the graph's stream current if the capture fails, as torch does."""
        self.current = stream.name
        self.events.append(f"capture into {pool}")
        yield
        self.events.append("captured")
        self.current = "main"


def test_a_capture_is_warmed_up_then_watched_then_made(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = StubCuda(monkeypatch)
    output = torch.zeros(1)

    def compute() -> Tensor:
        cuda.events.append(f"run on {cuda.current}")
        return output

    assert GraphCapture()(compute)() is output

    run = "run on side"
    watched = [run, "sync: error", run, "sync: default"]
    assert cuda.events == [*watched, "capture into pool", run, "captured", "replay"]


@pytest.mark.parametrize("failing_run", [1, 2, 3])
def test_a_capture_that_fails_leaves_the_device_as_it_was(
    monkeypatch: pytest.MonkeyPatch, failing_run: int
) -> None:
    cuda = StubCuda(monkeypatch)
    runs = iter(range(1, 4))

    def compute() -> Tensor:
        if next(runs) == failing_run:
            raise RuntimeError("called a synchronizing operation")
        return torch.zeros(1)

    with pytest.raises(RuntimeError, match="synchronizing"):
        GraphCapture()(compute)

    assert cuda.current == "main"
    assert "sync: error" not in cuda.events[-1:]
