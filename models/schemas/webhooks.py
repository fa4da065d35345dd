"""Webhooks on the wire: endpoints as the official client knows them, and the event that is sent."""

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
"""What an endpoint can be told of: the ends of background responses."""


def _distinct(values: list[EventType]) -> list[EventType]:
    return [each for each in EVENT_TYPES if each in values]


Name = Annotated[str, Field(min_length=1, max_length=128)]
Url = Annotated[str, Field(min_length=1, max_length=2048)]
EventTypes = Annotated[list[EventType], Field(min_length=1), AfterValidator(_distinct)]


class _Body(BaseModel):
    """A request body; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _storable(cls, value: object) -> object:
        """Postgres' text holds every character but NUL and halves of surrogate pairs."""
        if isinstance(value, str) and any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value):
            raise PydanticCustomError("unstorable", "NUL and lone surrogates cannot be stored")
        return value


class CreateWebhookEndpoint(_Body):
    """A new endpoint."""

    url: Url
    name: Name = "webhook"
    event_types: EventTypes = list(EVENT_TYPES)


class UpdateWebhookEndpoint(_Body):
    """What is to change of an endpoint; the rest stays."""

    url: Url | None = None
    name: Name | None = None
    event_types: EventTypes | None = None
    enabled: bool | None = None


class RotateWebhookSecret(_Body):
    """How to change over to a new secret."""

    keep_old_secret_active_for_24_hours: bool = False


class TryWebhookEndpoint(_Body):
    """Which event to make up."""

    event_type: EventType


class ReplayWebhookDeliveries(_Body):
    """Which dead deliveries to send again: those of `response_ids`, or all."""

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
    """False once it answered 410, or when its owner says so."""
    failing_since: int | None
    """Since when no delivery has been accepted; null while all is well."""


class WebhookEndpointWithSecret(WebhookEndpointResource):
    """The same with the secret, which is shown once."""

    signing_secret: str


class DeletedWebhookEndpoint(BaseModel):
    """Says that an endpoint is gone."""

    id: str
    object: Literal["webhook_endpoint.deleted"] = "webhook_endpoint.deleted"
    deleted: bool = True


class WebhookTestResult(BaseModel):
    """What an endpoint answered to a made-up event."""

    object: Literal["webhook_endpoint.test"] = "webhook_endpoint.test"
    webhook_endpoint_id: str
    event_type: str
    status_code: int
    success: Literal[True] = True


class WebhookDeliveryResource(BaseModel):
    """What became of telling one endpoint of the end of one response."""

    id: str
    """The `webhook-id` that it is sent with, the same each time."""
    object: Literal["webhook_delivery"] = "webhook_delivery"
    webhook_endpoint_id: str
    response_id: str
    event_type: str
    status: str
    """`pending`, `delivered`, or `dead`: given up, until it is replayed."""
    num_attempts: int
    last_attempt_at: int | None
    last_status_code: int | None
    last_error: str | None
    next_attempt_at: int | None
    """While it is pending."""


class ReplayedWebhookDeliveries(BaseModel):
    """How many dead deliveries are pending again."""

    object: Literal["webhook_endpoint.replay"] = "webhook_endpoint.replay"
    webhook_endpoint_id: str
    num_replayed: int


class WebhookEventTypes(BaseModel):
    """The events that can be asked for."""

    object: Literal["list"] = "list"
    data: list[EventType] = list(EVENT_TYPES)


class WebhookEndpointPage(Page):
    """Endpoints, newest first."""

    data: list[WebhookEndpointResource]


class WebhookDeliveryPage(Page):
    """Deliveries of an endpoint, newest response first."""

    data: list[WebhookDeliveryResource]


class _EventData(BaseModel):
    id: str


class WebhookEvent(BaseModel):
    """The body of a delivery. It says which response has ended, and nothing of its content."""

    id: str
    object: Literal["event"] = "event"
    type: str
    created_at: int
    data: _EventData

    @classmethod
    def of(
        cls, response_id: str, event_type: str, *, event_id: str, created_at: int
    ) -> "WebhookEvent":
        """The event that a response has ended."""
        data = _EventData(id=response_id)
        return cls(id=event_id, type=event_type, created_at=created_at, data=data)
