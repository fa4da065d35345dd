"""Webhook endpoints as the routes take them: paths, queries, and whether a URL will do."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from api.routes.queries import Query
from api.services import project_id, services
from models.errors import InvalidRequestError, WebhookEndpointNotFoundError
from models.ids import parse_endpoint_id
from models.store.webhooks.endpoints import StoredEndpoint
from models.webhooks.safe_http import Destinations, UrlRefusedError, look_up

_LOOK_UP_S = 0.5
"""A client waits."""


class EndpointPath(BaseModel):
    """Which endpoint."""

    webhook_endpoint_id: str

    def id(self) -> UUID:
        """Its id; raises a 404 for what cannot be one."""
        endpoint_id = parse_endpoint_id(self.webhook_endpoint_id)
        if endpoint_id is None:
            raise WebhookEndpointNotFoundError(self.webhook_endpoint_id)
        return endpoint_id

    def known(self, stored: StoredEndpoint | None) -> StoredEndpoint:
        """What was found; raises a 404 if nothing was."""
        if stored is None:
            raise WebhookEndpointNotFoundError(self.webhook_endpoint_id)
        return stored

    def find(self) -> StoredEndpoint:
        """The endpoint, if it is the project's."""
        return self.known(services().store.webhooks.get(project_id(), self.id()))


class EndpointsQuery(Query):
    """Which endpoints to list."""

    after: str | None = None
    limit: int = Field(20, ge=1, le=100)


class DeliveriesQuery(Query):
    """Which deliveries of an endpoint to list."""

    status: Literal["pending", "delivered", "dead"] | None = None
    after: str | None = None
    limit: int = Field(20, ge=1, le=100)


def destinations() -> Destinations:
    """Where this server may deliver to."""
    return Destinations(services().settings.webhook_networks)


def check_url(url: str) -> None:
    """Raise a 400 for a URL that no delivery would go to.

    A name that does not resolve now may do so later, and each delivery checks it again.
    """
    try:
        target = destinations().target(url)
        for address in look_up(target, within_s=_LOOK_UP_S):
            destinations().check(target, address)
    except UrlRefusedError as error:
        message = f"This URL cannot be delivered to: {error}."
        raise InvalidRequestError(message, param="url", code="invalid_webhook_url") from None
