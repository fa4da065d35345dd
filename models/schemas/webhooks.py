"""Webhooks: endpoints, as the official client knows them, deliveries, and the event sent."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

from models.schemas.pages import Page

EventType = Literal[
    "response.completed", "response.incomplete", "response.failed", "response.cancelled"
]
EVENT_TYPES: tuple[EventType, ...] = (
    "response.completed",
    "response.incomplete",
    "response.failed",
    "response.cancelled",
)
"""Types of events that an endpoint can receive: background responses that have ended."""


def _deduplicate(values: list[EventType]) -> list[EventType]:
    return [event_type for event_type in EVENT_TYPES if event_type in values]


Name = Annotated[str, Field(min_length=1, max_length=128)]
Url = Annotated[str, Field(min_length=1, max_length=2048)]
EventTypes = Annotated[
    list[EventType], Field(min_length=1, fail_fast=True), AfterValidator(_deduplicate)
]


class _Body(BaseModel):
    """A request body; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _check_storable(cls, value: object) -> object:
        """Raise for NUL and lone surrogates, which Postgres' text type cannot hold."""
        if isinstance(value, str) and any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value):
            raise PydanticCustomError("unstorable", "NUL and lone surrogates cannot be stored")
        return value


class CreateWebhookEndpoint(_Body):
    """A new endpoint."""

    url: Url
    name: Name = "webhook"
    event_types: EventTypes = list(EVENT_TYPES)


class UpdateWebhookEndpoint(_Body):
    """The fields of an endpoint to change; the others stay as they are."""

    url: Url | None = None
    name: Name | None = None
    event_types: EventTypes | None = None
    enabled: bool | None = None


class RotateWebhookSecret(_Body):
    """Options for replacing the signing secret."""

    keep_old_secret_active_for_24_hours: bool = False


class TryWebhookEndpoint(_Body):
    """The type of the test event to send."""

    event_type: EventType


class ReplayWebhookDeliveries(_Body):
    """The dead deliveries to send again: those of `response_ids`, or all."""

    response_ids: Annotated[list[str], Field(min_length=1, max_length=100)] | None = None


class WebhookEndpointResource(BaseModel):
    """An endpoint as its owner sees it."""

    id: str
    object: Literal["webhook_endpoint"] = "webhook_endpoint"
    created_at: int
    updated_at: int
    name: str
    url: str
    event_types: list[str]
    signing_secret_hint: str
    enabled: bool
    """False after it answered 410, or if its owner disabled it."""
    failing_since: int | None
    """Unix time since which no delivery has been accepted; null while deliveries succeed."""


class WebhookEndpointWithSecret(WebhookEndpointResource):
    """An endpoint with its signing secret, which is shown only once."""

    signing_secret: str


class DeletedWebhookEndpoint(BaseModel):
    """Confirmation that an endpoint was deleted."""

    id: str
    object: Literal["webhook_endpoint.deleted"] = "webhook_endpoint.deleted"
    deleted: bool = True


class WebhookTestResult(BaseModel):
    """An endpoint's answer to a test event."""

    object: Literal["webhook_endpoint.test"] = "webhook_endpoint.test"
    webhook_endpoint_id: str
    event_type: str
    status_code: int
    success: Literal[True] = True


class WebhookDeliveryResource(BaseModel):
    """The delivery of one response's terminal event to one endpoint."""

    id: str
    """The `webhook-id` header, the same for every attempt."""
    object: Literal["webhook_delivery"] = "webhook_delivery"
    webhook_endpoint_id: str
    response_id: str
    event_type: str
    status: str
    """`pending`, `delivered`, or `dead`: attempts have stopped until it is replayed."""
    num_attempts: int
    last_attempt_at: int | None
    last_status_code: int | None
    last_error: str | None
    next_attempt_at: int | None
    """Unix time; null unless `pending`."""


class ReplayedWebhookDeliveries(BaseModel):
    """The number of dead deliveries that are pending again."""

    object: Literal["webhook_endpoint.replay"] = "webhook_endpoint.replay"
    webhook_endpoint_id: str
    num_replayed: int


class WebhookEventTypes(BaseModel):
    """The event types that an endpoint can receive."""

    object: Literal["list"] = "list"
    data: list[EventType] = list(EVENT_TYPES)


class WebhookEndpointPage(Page):
    """One page of endpoints, newest first."""

    data: list[WebhookEndpointResource]


class WebhookDeliveryPage(Page):
    """One page of an endpoint's deliveries, newest response first."""

    data: list[WebhookDeliveryResource]


class _EventData(BaseModel):
    id: str


class WebhookEvent(BaseModel):
    """The body of a delivery: the id of the response that has ended, without its content."""

    id: str
    object: Literal["event"] = "event"
    type: str
    created_at: int
    data: _EventData

    @classmethod
    def of(
        cls, response_id: str, event_type: str, *, event_id: str, created_at: int
    ) -> "WebhookEvent":
        """Return the event for a response that has ended."""
        data = _EventData(id=response_id)
        return cls(id=event_id, type=event_type, created_at=created_at, data=data)
