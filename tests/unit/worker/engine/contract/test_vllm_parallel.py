"""One model over two processes of vLLM, on CPUs. `NIGHTLY=1 make test-vllm`."""

import multiprocessing
import os
import signal
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from llguidance import grammar_from

from tests.polling import eventually
from tests.unit.worker.engine.conftest import EngineFactory
from tests.unit.worker.engine.harness import Harness, greedy, sampled
from worker.engine.interface import EngineStoppedError, FinishReason, GenerationRequest

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.timeout(600),
    pytest.mark.skipif(find_spec("vllm") is None, reason="vllm is not installed"),
]

NUM_TOKENS = 24
TWO: dict[str, Any] = {"block_size": 32, "tensor_parallel_size": 2}

Prompts = list[list[int]]


@pytest.fixture
def forward() -> str:
    return "vllm"


def mixed(prompts: Prompts) -> list[GenerationRequest]:
    digits = grammar_from("regex", "[0-9]{12}")
    return [
        *(greedy(f"greedy {n}", prompt, NUM_TOKENS) for n, prompt in enumerate(prompts)),
        *(sampled(f"sampled {n}", prompt, n, NUM_TOKENS) for n, prompt in enumerate(prompts)),
        sampled("grammar", prompts[0], 3, NUM_TOKENS, grammar=digits),
        sampled("penalised", prompts[0], 3, NUM_TOKENS, frequency_penalty=1.0),
    ]


def test_two_processes_draw_what_one_draws(make_engine: EngineFactory, prompts: Prompts) -> None:
    alone = make_engine().run(*mixed(prompts))

    shared = make_engine(vllm_args=TWO).run(*mixed(prompts))

    assert shared == alone


def test_all_that_they_share_is_named_after_one_folder(make_engine: EngineFactory) -> None:
    make_engine(vllm_args=TWO)

    folder = Path(os.environ["VLLM_RPC_BASE_PATH"])
    ranks = [process.pid for process in multiprocessing.active_children()]
    shared = [names_of_shared_memory(pid) for pid in (os.getpid(), *ranks)]
    assert [len(names) > 1 for names in shared] == [True] * 3
    assert all(name.startswith(f"{folder.name}-") for name in set.union(*shared))
    # Semaphores have no name where they are mapped: glibc makes them under another.
    assert list(folder.parent.glob(f"sem.{folder.name}-*"))
    # Sockets, and the file by which the processes have found each other.
    assert {path.is_socket() for path in folder.iterdir()} == {True, False}


def names_of_shared_memory(pid: int | None) -> set[str]:
    """Return the names in /dev/shm of what a process has mapped."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    paths = {line.partition(" /dev/shm/")[2] for line in lines} - {""}
    return {path for path in paths if not path.endswith(" (deleted)")}


def test_a_grammar_that_fails_in_them_ends_its_own_sequence(
    make_engine: EngineFactory, prompts: Prompts
) -> None:
    exploding = grammar_from("regex", "b{30}(a{1,300}){99,300}")
    harness = make_engine(vllm_args=TWO)

    _, free = harness.run(
        sampled("bad", prompts[0], 1, 300, grammar=exploding), greedy("free", prompts[1], 40)
    )

    assert harness.reason("bad") is FinishReason.ERROR
    assert harness.deltas["bad"][-1].error
    assert len(free) == 40


def test_the_death_of_one_loses_the_engine_and_ends_no_sequence(
    make_engine: EngineFactory, prompts: Prompts
) -> None:
    harness: Harness = make_engine(vllm_args=TWO)
    harness.engine.submit(greedy("it", prompts[0], 400))
    harness.wait_until(lambda: len(harness.tokens("it")) > 3)

    rank = multiprocessing.active_children()[0]
    assert rank.pid is not None
    os.kill(rank.pid, signal.SIGKILL)

    eventually(lambda: harness.engine.is_lost)
    assert harness.reason("it") is None


def test_no_request_fails_while_vllm_notes_the_death_of_one(
    make_engine: EngineFactory, prompts: Prompts
) -> None:
    harness: Harness = make_engine(vllm_args=TWO)
    names: list[str] = []
    rank = multiprocessing.active_children()[0]
    assert rank.pid is not None
    os.kill(rank.pid, signal.SIGKILL)

    def is_lost_after_one_more() -> bool:
        with suppress(EngineStoppedError):
            harness.engine.submit(greedy(f"it {len(names)}", prompts[0], 40))
            names.append(f"it {len(names)}")
        return harness.engine.is_lost

    eventually(is_lost_after_one_more)
    assert names
    assert all(harness.reason(name) is None for name in names)


def test_one_that_hangs_is_seen(
    make_engine: EngineFactory, prompts: Prompts, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness: Harness = make_engine(vllm_args=TWO)
    monkeypatch.setattr(harness.engine, "_step_limit_s", 1.0)
    harness.engine.submit(greedy("it", prompts[0], 400))
    harness.wait_until(lambda: len(harness.tokens("it")) > 8)

    rank = multiprocessing.active_children()[0]
    assert rank.pid is not None
    os.kill(rank.pid, signal.SIGSTOP)

    eventually(lambda: harness.engine.is_stuck)
    os.kill(rank.pid, signal.SIGCONT)
    harness.wait("it")
    assert len(harness.tokens("it")) == 400
