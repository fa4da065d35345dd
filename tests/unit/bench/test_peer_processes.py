"""Processes of peers: their output, their ends, and the resources they use."""

import sys

import psutil
import pytest

from bench.peers.servers.piped import PipedRunner
from bench.peers.servers.processes import run_child
from bench.peers.usage import tree_cpu_s, tree_memory_bytes
from bench.server import BenchError
from tests.polling import PATIENCE_S

WORK = """
from bench.peers.inside.pipe import serve

def work(prompts, num_tokens, clock):
    print("what a library prints is no answer")
    for number, prompt in enumerate(prompts):
        clock(number)
        clock(number)
    return num_tokens * len(prompts)

serve(work)
"""
BREAK = "raise ValueError('no such weights')"
SLEEP_BELOW = """
import subprocess, sys
below = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(below.pid, flush=True)
below.wait()
"""


def test_prompts_go_over_as_tokens_and_figures_come_back() -> None:
    with run_child([sys.executable, "-c", WORK], {}, is_piped=True) as started:
        assert started.process.stdout is not None
        assert b"is_ready" in started.process.stdout.readline()
        runner = PipedRunner(started, lambda text: [len(text)])

        bursts = [runner.run(["one", "three"], 5) for _ in range(2)]

    assert [burst.num_tokens for burst in bursts] == [10, 10]
    assert all(len(burst.first_token_s) == 2 for burst in bursts)
    assert all(0 <= max(burst.first_token_s) <= burst.seconds for burst in bursts)


def test_an_engine_that_ends_is_told_with_its_last_error() -> None:
    with run_child([sys.executable, "-c", BREAK], {}, is_piped=True) as started:
        started.process.wait()
        runner = PipedRunner(started, lambda text: [])

        with pytest.raises(BenchError, match="ValueError: no such weights"):
            runner.run(["one"], 5)


def test_what_a_peer_started_counts_and_ends_with_it() -> None:
    with run_child([sys.executable, "-c", SLEEP_BELOW], {}, is_piped=True) as started:
        assert started.process.stdout is not None
        below = psutil.Process(int(started.process.stdout.readline()))
        alone = psutil.Process(started.process.pid).memory_full_info().pss

        assert tree_memory_bytes(started.process.pid) > alone
        assert tree_cpu_s(started.process.pid) > 0

    below.wait(PATIENCE_S)
    assert not below.is_running()
