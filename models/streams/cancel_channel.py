"""Pub/sub channel that cancels a response without waiting for the next heartbeat."""

from uuid import UUID

import redis

CANCEL_CHANNEL = "antiphon:cancel"
"""Channel whose messages are response ids in hex.

Every worker subscribes and ignores the ids of responses that it does not run.
"""


def publish_cancel(client: redis.Redis, response_id: UUID) -> None:
    """Ask the worker that runs a response to stop."""
    client.publish(CANCEL_CHANNEL, response_id.hex)
