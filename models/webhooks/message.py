"""What is sent to a webhook endpoint: one event, signed as Standard Webhooks lay down."""

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from standardwebhooks import Webhook

from models.ids import response_wire_id
from models.schemas.webhooks import WebhookEvent

_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A body with its headers, good for five minutes."""

    body: bytes
    headers: dict[str, str]


def new_secret() -> str:
    """A fresh signing secret: `whsec_` and 32 random bytes in base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def webhook_id(response_id: UUID, endpoint_id: UUID) -> str:
    """The id of a delivery: the same each time it is sent, so that receivers can tell repeats."""
    return f"wh_{response_id.hex}{endpoint_id.hex}"


def ended_event(response_id: UUID, event_type: str, occurred_at: datetime) -> WebhookEvent:
    """The event that a response has ended; there is one for each, so its id follows from it."""
    return WebhookEvent.of(
        response_wire_id(response_id),
        event_type,
        event_id=f"evt_{response_id.hex}",
        created_at=int(occurred_at.timestamp()),
    )


def sign(event: WebhookEvent, message_id: str, signing_secrets: Sequence[str]) -> Message:
    """Sign with every secret that is in force, newest first."""
    body = event.model_dump_json()
    now = datetime.now(UTC)
    signatures = [Webhook(each).sign(message_id, now, body) for each in signing_secrets]
    return Message(
        body=body.encode(),
        headers={
            "content-type": "application/json",
            "user-agent": "antiphon-webhooks",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signatures),
        },
    )
