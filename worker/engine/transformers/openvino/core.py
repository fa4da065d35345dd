"""Compilation by OpenVINO's CPU plugin, which leaves the signal stack of the thread as it was.

Each `openvino.Core` loads the plugin, which gives the thread an alternate signal stack. It takes
the stack away again only when the plugin is unloaded by the same thread, in reverse order of
loading. Otherwise the thread keeps a stack whose memory is gone, and the next signal that Python
handles on it ends the process; the garbage collector unloads plugins in any thread and order.
"""

import contextlib
import ctypes
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import openvino


class SignalStack(ctypes.Structure):
    """Structure `stack_t` of Linux; see sigaltstack(2)."""

    _fields_ = (
        ("address", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("size", ctypes.c_size_t),
    )


_sigaltstack = ctypes.CDLL(None).sigaltstack if sys.platform == "linux" else None


def compile_model(graph: openvino.Model, properties: Mapping[str, Any]) -> openvino.CompiledModel:
    """Compile a graph for the CPU. Raises `RuntimeError` for one that the plugin cannot compile.

    Each graph has a core of its own: the plugin keeps state from one graph to the next.
    """
    with _same_signal_stack():
        return openvino.Core().compile_model(graph, "CPU", dict(properties))


def signal_stack() -> SignalStack | None:
    """Return the calling thread's alternate signal stack, or None where that is not known."""
    stack = SignalStack()
    if _sigaltstack is None or _sigaltstack(None, ctypes.byref(stack)) != 0:
        return None
    return stack


@contextlib.contextmanager
def _same_signal_stack() -> Iterator[None]:
    """Restore the thread's signal stack afterwards.

    A stack that has become too small for the processor's registers stays replaced: Linux refuses
    it, once a process has permission to use AMX.
    """
    before = signal_stack()
    try:
        yield
    finally:
        if _sigaltstack is not None and before is not None:
            _sigaltstack(ctypes.byref(before), None)
