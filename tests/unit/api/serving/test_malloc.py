"""Memory of large blocks: back with the system as soon as they are freed."""

import subprocess
import sys

import pytest

_PROGRAM = """
import resource
from api.serving.malloc import return_large_blocks

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

return_large_blocks()
before = resident()
for _ in range(3):
    block = bytearray(b"x") * (20 << 20)
    del block
print((resident() - before) >> 20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="malloc is another")
def test_large_blocks_are_given_back_again_and_again() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) <= 5
