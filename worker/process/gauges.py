"""What a worker measures of itself whenever metrics are published."""

import socket
from collections.abc import Iterator

from models.metrics.table import LAST_TOKEN_AGE, VRAM_BYTES
from models.metrics.totals import GaugeValue
from worker.engine.interface import Engine


class WorkerGauges:
    """Gauges of one worker."""

    def __init__(self, engine: Engine, model: str, name: str) -> None:
        """Create the gauges of the worker of that name on this host."""
        self._engine = engine
        self._labels = (model, socket.gethostname(), name)

    def measure(self) -> Iterator[GaugeValue]:
        """Yield the values of now."""
        age_s = self._engine.last_step_age_s
        yield GaugeValue(LAST_TOKEN_AGE, 0.0 if age_s is None else age_s, self._labels)
        device, num_bytes = self._engine.device_memory()
        yield GaugeValue(VRAM_BYTES, num_bytes, (*self._labels, device))
