"""Messages to webhook endpoints: one event each, signed as Standard Webhooks specifies."""

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
    """Signed body with its headers; receivers accept the timestamp for five minutes."""

    body: bytes
    headers: dict[str, str]


def new_secret() -> str:
    """Return a new signing secret: `whsec_` and 32 random bytes in base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def webhook_id(response_id: UUID, endpoint_id: UUID) -> str:
    """Return the id of a delivery; it is stable, so that receivers can detect repeats."""
    return f"wh_{response_id.hex}{endpoint_id.hex}"


def ended_event(response_id: UUID, event_type: str, occurred_at: datetime) -> WebhookEvent:
    """Return the event for the end of a response; its id is derived from the response's id."""
    return WebhookEvent.of(
        response_wire_id(response_id),
        event_type,
        event_id=f"evt_{response_id.hex}",
        created_at=int(occurred_at.timestamp()),
    )


def sign(event: WebhookEvent, message_id: str, signing_secrets: Sequence[str]) -> Message:
    """Sign an event with every given secret, newest first."""
    body = event.model_dump_json()
    now = datetime.now(UTC)
    signatures = [Webhook(secret).sign(message_id, now, body) for secret in signing_secrets]
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
