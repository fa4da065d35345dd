"""Processes of the server: their start and their end."""

import subprocess
import sys

from tests.polling import PATIENCE_S

_ORPHAN = """
import os, threading
from api import server

reading, writing = os.pipe()
if os.fork():
    os.read(reading, 1)
    os._exit(0)
server.end_with_parent(grace_s=0.1)
threading.Thread(target=threading.Event().wait).start()  # a stream that does not end
os.write(writing, b"x")
"""


def test_a_process_whose_master_is_gone_ends_whatever_it_still_serves() -> None:
    # Returns when both processes have ended: until then one of them holds the output open.
    subprocess.run(
        [sys.executable, "-c", _ORPHAN], capture_output=True, check=True, timeout=PATIENCE_S
    )
