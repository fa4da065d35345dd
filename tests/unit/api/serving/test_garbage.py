"""Full garbage collections come at intervals, and not because many objects are new."""

import subprocess
import sys

_PROGRAM = """
import gc, threading, weakref
from api.serving.garbage import collect_rarely

class Node:
    pass

collected = threading.Event()
full = []
collect_rarely(interval_s=INTERVAL)
gc.callbacks.append(lambda phase, info: full.append(phase) if info["generation"] == 2 else None)

node = Node()
node.itself = node
weakref.finalize(node, collected.set)
gc.collect(1)  # now it is old
del node
kept = [[] for _ in range(100_000)]
print(bool(full), collected.wait(WAIT_S))
"""


def outcome(interval_s: float, wait_s: float) -> str:
    program = _PROGRAM.replace("INTERVAL", str(interval_s)).replace("WAIT_S", str(wait_s))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_many_new_objects_cause_none() -> None:
    assert outcome(interval_s=300, wait_s=0) == "False False"


def test_old_garbage_is_collected_at_the_interval() -> None:
    assert outcome(interval_s=0.5, wait_s=30).endswith("True")


def test_by_default_new_objects_cause_some() -> None:
    program = _PROGRAM.replace("collect_rarely(interval_s=INTERVAL)", "gc.freeze()")
    done = subprocess.run(
        [sys.executable, "-c", program.replace("WAIT_S", "0")], capture_output=True, text=True
    )

    assert done.stdout.strip() == "True True", done.stderr
