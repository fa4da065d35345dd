"""Signals after graphs were compiled and dropped, in any order."""

import subprocess
import sys

_PROGRAM = """
import os, signal
import openvino
from openvino import opset13 as ops
from worker.engine.transformers.openvino import precision
from worker.engine.transformers.openvino.core import shared_core

def compiled():
    rows = ops.parameter([-1, 4], openvino.Type.f32)
    graph = openvino.Model([ops.relu(rows)], [rows])
    return shared_core().compile_model(graph, "CPU", {})

first, second = compiled(), compiled()
del first
del second
precision.fastest_precision(1)  # compares two graphs that live at the same time
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
os.kill(os.getpid(), signal.SIGUSR1)
"""


def test_python_handles_signals_after_graphs_are_gone() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr
