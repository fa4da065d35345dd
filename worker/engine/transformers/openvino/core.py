"""The one OpenVINO core of a process."""

from functools import cache

import openvino


@cache
def shared_core() -> openvino.Core:
    """Return the core that compiles all graphs of this process; it lives as long as the process.

    A core loads the CPU plugin, which gives the loading thread another stack for signal handlers.
    Plugins that are unloaded in another order than they were loaded leave the thread with a stack
    whose memory is unmapped: the next signal that Python handles would end the process.
    """
    return openvino.Core()
