"""Signals after graphs were compiled and dropped, in any order and by any thread."""

import subprocess
import sys

import openvino
import pytest
from openvino import opset13 as ops

from worker.engine.transformers.openvino.core import compile_model, signal_stack

_PROGRAM = """
import faulthandler, os, signal, sys, threading

if {is_enabled}:
    faulthandler.enable()  # gives the thread a signal stack of its own

from tests.unit.worker.engine.transformers.openvino.test_core import compiled
from worker.engine.transformers.openvino import precision

first, second, third = compiled(), compiled(), compiled()
del first
del second
graphs = [third]
del third
dropping = threading.Thread(target=graphs.clear)
dropping.start()
dropping.join()
precision.fastest_precision(1)  # compares two graphs that live at the same time
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
os.kill(os.getpid(), signal.SIGUSR1)
"""


def compiled() -> openvino.CompiledModel:
    rows = ops.parameter([-1, 4], openvino.Type.f32)
    return compile_model(openvino.Model([ops.relu(rows)], [rows]), {})


@pytest.mark.parametrize("is_enabled", [True, False], ids=["faulthandler", "no faulthandler"])
def test_python_handles_signals_after_graphs_are_gone(is_enabled: bool) -> None:
    program = _PROGRAM.format(is_enabled=is_enabled)

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="OpenVINO sets signal stacks on Linux alone")
def test_a_thread_keeps_its_signal_stack_while_a_graph_lives() -> None:
    before = signal_stack()

    graph = compiled()

    after = signal_stack()
    assert before is not None
    assert after is not None
    assert (after.address, after.flags, after.size) == (before.address, before.flags, before.size)
    del graph
