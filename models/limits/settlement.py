"""Settlement of what a response has reserved, once its end is committed."""

import logging
from typing import Any

import redis

from models.limits.windows import Windows
from models.responses.record import ResponseRecord
from models.responses.status import CONTINUABLE
from models.store.finish import TerminalRecord

logger = logging.getLogger(__name__)


def settle(windows: Windows, record: ResponseRecord, ending: TerminalRecord) -> None:
    """Count the tokens that a response has used in the place of those that it reserved.

    Whoever commits the end calls this, so it happens once. If that process is lost in between, or
    Redis is away, the reservation leaves the window by itself.
    """
    reservation = record.reservation
    if reservation is None or not reservation.has_tokens:
        return
    usage: dict[str, Any] = ending.usage or {}
    try:
        windows.settle(
            record.project_id,
            reservation,
            input_tokens=usage.get("input_tokens"),
            output_tokens=usage.get("output_tokens", 0),
            is_whole=ending.status in CONTINUABLE and "output_tokens" in usage,
        )
    except redis.RedisError as error:
        logger.info("tokens not settled", extra={**record.log_fields, "error": str(error)})
