"""Path and query parameters of the webhook routes, and validation of endpoint URLs."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from api.routes.queries import Query
from api.services import project_id, services
from models.errors import InvalidRequestError, WebhookEndpointNotFoundError
from models.fetching.checked_backend import look_up
from models.fetching.destinations import Destinations, UrlRefusedError
from models.ids import parse_endpoint_id
from models.store.webhooks.endpoints import EndpointRecord

_RESOLVE_TIMEOUT_S = 0.5
"""Seconds for resolving a host name: a client is waiting."""


class EndpointPath(BaseModel):
    """Path parameters of an endpoint."""

    webhook_endpoint_id: str

    def id(self) -> UUID:
        """Return the endpoint's id; raise a 404 if it is malformed."""
        endpoint_id = parse_endpoint_id(self.webhook_endpoint_id)
        if endpoint_id is None:
            raise WebhookEndpointNotFoundError(self.webhook_endpoint_id)
        return endpoint_id

    def require(self, endpoint: EndpointRecord | None) -> EndpointRecord:
        """Return the endpoint that was found; raise a 404 for None."""
        if endpoint is None:
            raise WebhookEndpointNotFoundError(self.webhook_endpoint_id)
        return endpoint

    def find(self) -> EndpointRecord:
        """Return the endpoint; raise a 404 if the project has none with this id."""
        return self.require(services().store.webhooks.get(project_id(), self.id()))


class EndpointsQuery(Query):
    """Query parameters for listing endpoints."""

    after: str | None = None
    limit: int = Field(20, ge=1, le=100)


class DeliveriesQuery(Query):
    """Query parameters for listing the deliveries to an endpoint."""

    status: Literal["pending", "delivered", "dead"] | None = None
    after: str | None = None
    limit: int = Field(20, ge=1, le=100)


def destinations() -> Destinations:
    """Return the destinations that this server may deliver to."""
    return Destinations(services().settings.webhook_networks)


def check_url(url: str) -> None:
    """Raise a 400 for a URL that every delivery would refuse.

    A name that does not resolve now is accepted: it may resolve later, and each delivery checks
    it again.
    """
    try:
        target = destinations().target(url)
        for address in look_up(target, owner=project_id(), within_s=_RESOLVE_TIMEOUT_S):
            destinations().check(target, address)
    except UrlRefusedError as error:
        message = f"This URL cannot be delivered to: {error}."
        raise InvalidRequestError(message, param="url", code="invalid_webhook_url") from None
