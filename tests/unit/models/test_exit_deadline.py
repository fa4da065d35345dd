"""A process that has to end does so, although one of its threads waits for ever."""

import subprocess
import sys
import threading
import time

from models.exit_deadline import EXIT_LATE, end_within

_WAITING = """
import threading
from models.exit_deadline import end_within

threading.Thread(target=threading.Event().wait).start()
end_within({seconds})
"""
_ENDING = """
from models.exit_deadline import end_within

end_within(600)
"""


def run(program: str) -> int:
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=60)
    return done.returncode


def test_a_process_whose_threads_wait_is_ended() -> None:
    assert run(_WAITING.format(seconds=0.1)) == EXIT_LATE


def test_a_process_that_ends_by_itself_is_not_kept() -> None:
    began = time.monotonic()

    assert run(_ENDING) == 0
    assert time.monotonic() - began < 60


def test_nothing_is_ended_before_its_time() -> None:
    codes: list[int] = []
    ended = threading.Event()

    def exit_process(code: int) -> None:
        codes.append(code)
        ended.set()

    began = time.monotonic()

    end_within(0.2, exit_process)

    assert ended.wait(60)
    assert codes == [EXIT_LATE]
    assert time.monotonic() - began >= 0.2
