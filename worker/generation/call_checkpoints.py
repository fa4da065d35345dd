"""Checkpoints around hosted calls: before an MCP call is made, and after each result."""

import logging

from models.errors import UnavailableError
from models.responses.record import ResponseRecord
from models.store.checkpoints import Checkpoints
from worker.generation.generation import Generation
from worker.generation.retry import WriteRetrier

logger = logging.getLogger(__name__)


class CallCheckpoints:
    """Writes what later attempts must know of hosted calls; safe from any thread."""

    def __init__(self, checkpoints: Checkpoints, retrier: WriteRetrier) -> None:
        self._checkpoints = checkpoints
        self._retrier = retrier

    def begin_call(self, record: ResponseRecord, number: int) -> bool:
        """Note for good that a call may have been made; return False if the attempt is stale."""
        return self._retrier.run(record, lambda: self._checkpoints.begin_call(record, number))

    def save(self, generation: Generation) -> None:
        """Write a checkpoint with the result of a call, in case the log is lost."""
        record = generation.checkpointed_record()
        if record is None or generation.is_released:
            return
        try:
            self._checkpoints.write([record])
        except UnavailableError as error:
            logger.warning(
                "checkpoint not written", extra={**record.log_fields, "error": str(error)}
            )
