"""Fault injector (nemesis) that runs a schedule against a cluster and logs its actions."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from signal import Signals

import redis

from models.ids import parse_response_id
from models.streams.event_log import events_channel
from tests.chaos.cluster import Cluster
from tests.chaos.journal import Record
from tests.chaos.rank_faults import RankFaults
from tests.chaos.refusals import VALKEY
from tests.chaos.refusing import Refusals
from tests.chaos.returns import Returns
from tests.chaos.schedule import Step
from worker.queue import queue_name

_ENDING = (Signals.SIGKILL, Signals.SIGTERM)


class Nemesis:
    """Thread that injects faults between `start` and `stop`."""

    def __init__(self, cluster: Cluster, steps: Iterator[Step], journal: list[Record]) -> None:
        self._cluster = cluster
        self._queue = queue_name(cluster.model_id)
        self._steps = steps
        self._journal = journal
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nemesis", daemon=True)
        self._old_wake_ups: list[bytes] = []
        self._refusals = Refusals(cluster)
        self.returns = Returns(cluster.web, cluster.worker_kills)
        """Returns of the service after refusals."""
        self.ranks = RankFaults(cluster, self._stopping, self.returns.disturb)
        """Faults of the processes of vLLM."""
        self.num_terms: Counter[str] = Counter()
        """Number of SIGTERM sent to each part."""
        self.log: list[str] = []
        self.log_lost_at: list[float] = []
        """Times at which it flushed or stopped Redis, on the clock of the clients' journal."""

    def start(self) -> None:
        """Start injecting faults."""
        self._thread.start()

    def stop(self) -> None:
        """Stop injecting faults, and bring everything up again."""
        self._stopping.set()
        self.finish()

    def finish(self, *, heals: bool = True) -> None:
        """Run to the end of the schedule, then bring everything up again, if it is to."""
        self._thread.join()
        self.ranks.join()
        self.log += self.ranks.log
        if heals:
            self._cluster.wake_all()
            self._refusals.mend_all()
            self._cluster.heal()
        self.returns.join()

    def _run(self) -> None:
        began = time.monotonic()
        for step in self._steps:
            if self._stopping.wait(max(0.0, began + step.at_s - time.monotonic())):
                return
            if not self._cluster.is_up() and step.act != "start_again":
                # A supervisor that meets a fault during its start exits.
                self._cluster.start_again()
                self.log.append(f"{step.at_s:7.2f} s  (supervisor started again)")
            if step.target.endswith("-rank"):
                self.ranks.start(step)
                continue
            began_at = time.monotonic()
            self.returns.disturb(step)
            has_effect = self._do(step)
            if has_effect and step.act in ("strike", "mend"):
                self.returns.watch(step)
            self.log.append(f"{step}{'' if has_effect else '  (without effect)'}")
            if has_effect and _loses_the_log(step):
                self.log_lost_at += [began_at, time.monotonic()]

    def _do(self, step: Step) -> bool:
        if step.act == "signal":
            self.num_terms[step.target] += step.sent is Signals.SIGTERM
            return self._cluster.signal(step.target, step.sent, step.index)
        if step.act in ("strike", "mend"):
            return bool(getattr(self._refusals, step.act)(step.target))
        if step.target:
            self._cluster.order(step.act, step.target)
            return True
        try:
            return bool(getattr(self, step.act)())
        except (redis.RedisError, OSError):
            return False

    def start_again(self) -> bool:
        """Start the supervisor that was killed."""
        if self._cluster.is_up():
            return False
        self._cluster.start_again()
        return True

    def flush(self) -> bool:
        """Delete all data in Redis."""
        with self._cluster.redis() as client:
            return bool(client.flushall())

    def double_wake_ups(self) -> bool:
        """Duplicate every queued wake-up, so that it is there five times."""
        with self._cluster.redis() as client:
            wake_ups = client.lrange(self._queue, 0, -1)
            self._old_wake_ups = (self._old_wake_ups + wake_ups)[-100:]
            return bool(wake_ups) and bool(client.rpush(self._queue, *wake_ups * 4))

    def replay_wake_ups(self) -> bool:
        """Queue old wake-ups again."""
        with self._cluster.redis() as client:
            return bool(self._old_wake_ups) and bool(client.lpush(self._queue, *self._old_wake_ups))

    def replay_events(self) -> bool:
        """Publish events of running streams again, out of order."""
        streams = [record for record in self._journal[-200:] if record.job.stream and record.events]
        with self._cluster.redis() as client:
            for record in streams:
                response_id = parse_response_id(record.response_id or "")
                assert response_id is not None
                for event in reversed(record.events[-10:]):
                    if event.is_terminal or event.type == "error":
                        continue
                    message = b"%d %b" % (event.number, event.data)
                    client.publish(events_channel(response_id), message)
        return bool(streams)


def _loses_the_log(step: Step) -> bool:
    """Return True if a step makes Redis lose its data, or unreachable for a while.

    A response that ends meanwhile ends without its log.
    """
    if step.act in ("strike", "mend"):
        return step.target in VALKEY
    if step.act != "signal":
        return step.act in ("flush", "start_again")
    return step.target in ("valkey", "supervisor") and step.sent in _ENDING
