"""Memory is back with the system once it is freed: large blocks at once, the heap when trimmed."""

import subprocess
import sys

import pytest

_RESIDENT = """
import resource
from api.serving.malloc import return_large_blocks, trim_heap

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

"""
_LARGE = """
return_large_blocks()
before = resident()
for _ in range(3):
    block = bytearray(b"x") * (20 << 20)
    del block
print((resident() - before) >> 20)
"""
_SMALL = """
before = resident()
pieces = [bytes(1 << 16) + b"x" for _ in range(800)]
kept = pieces[::100]
del pieces
trim_heap()
print((resident() - before) >> 20)
"""


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="malloc is another")


def grown_mib(program: str) -> int:
    """Return by how much a program grows, as it prints itself."""
    command = [sys.executable, "-c", _RESIDENT + program]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_large_blocks_are_given_back_again_and_again() -> None:
    assert grown_mib(_LARGE) <= 5


@pytest.mark.nightly
def test_pages_between_what_stays_are_given_back() -> None:
    assert grown_mib(_SMALL) <= 5
    assert grown_mib(_SMALL.replace("trim_heap()", "")) >= 20
