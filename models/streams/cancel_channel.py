"""Nudges to workers: cancel a response now, without waiting for the next heartbeat."""

from uuid import UUID

import redis

CANCEL_CHANNEL = "antiphon:cancel"
"""Messages are the hex digits of a response's id; every worker listens and acts on its own."""


def publish_cancel(client: redis.Redis, response_id: UUID) -> None:
    """Ask whichever worker runs a response to stop."""
    client.publish(CANCEL_CHANNEL, response_id.hex)
