"""Trials with vLLM: their network, settings and answers; others load no tensor library for it."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.answers import Answer
from tests.chaos.audit import Kept
from tests.chaos.plan import Job

_SETTINGS: dict[str, str] = {
    **{"engine": "vllm", "dtype": "float32", "threads": "1", "kv_cache_gib": "0.05"},
    "vllm_args": '{"tensor_parallel_size": 2, "block_size": 32}',
}
"""Settings of workers that share their model out over two processes of vLLM."""


@contextmanager
def network_of(engine: str) -> Iterator[Path | None]:
    """Save the network of an engine, if it has one; delete it after."""
    if engine != "vllm":
        yield None
        return
    from tests.chaos.network import save_network

    with tempfile.TemporaryDirectory(prefix="antiphon-chaos-network-") as folder:
        save_network(Path(folder) / "tiny")
        yield Path(folder) / "tiny"


def settings_of(network: Path | None) -> dict[str, str]:
    """Return the settings with which workers compute a network; none for the script."""
    return {} if network is None else _SETTINGS | {"model": str(network)}


def answers_of(network: Path | None, kept: Kept, jobs: Iterable[Job]) -> Mapping[str, Answer]:
    """Return the answers of a network to all that ended by itself; none for the script."""
    if network is None:
        return {}
    from tests.chaos.network import Oracle

    return Oracle(network).answers(kept.rows, jobs)
