"""/v1/webhook_endpoints/{id}/…: test events, and listing and replaying deliveries."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel

from api.routes.webhooks.lookup import DeliveriesQuery, EndpointPath, destinations
from api.services import project_id, services
from models.errors import InvalidRequestError
from models.fetching.checked_backend import OutboundError
from models.fetching.destinations import UrlRefusedError
from models.fetching.outbound_client import OutboundClient
from models.ids import endpoint_wire_id, new_id, parse_response_id, response_wire_id
from models.schemas.webhooks import (
    ReplayedWebhookDeliveries,
    ReplayWebhookDeliveries,
    TryWebhookEndpoint,
    WebhookDeliveryPage,
    WebhookDeliveryResource,
    WebhookTestResult,
)
from models.store.webhooks.deliveries import DeliveryRecord
from models.webhooks.message import ended_event, sign, webhook_id

blueprint = APIBlueprint(
    "webhook_deliveries",
    __name__,
    url_prefix="/v1/webhook_endpoints/<string:webhook_endpoint_id>",
    abp_tags=[Tag(name="Webhooks")],
)


@blueprint.post("/test", responses={200: WebhookTestResult})
def try_out(path: EndpointPath, body: TryWebhookEndpoint) -> Response:
    """Send a test event at once, without retries, and return the status of the answer."""
    endpoint = path.find()
    test_id = new_id()
    event = ended_event(test_id, body.event_type, datetime.now(UTC))
    message = sign(event, webhook_id(test_id, endpoint.id), endpoint.secrets)
    client = OutboundClient(destinations())
    try:
        status = asyncio.run(
            client.post(
                endpoint.url, body=message.body, headers=message.headers, owner=project_id()
            )
        )
    except (OutboundError, UrlRefusedError) as error:
        reason = f"The endpoint was not reached: {error}."
        raise InvalidRequestError(reason, code="webhook_endpoint_not_reached") from None
    result = WebhookTestResult(
        webhook_endpoint_id=endpoint_wire_id(endpoint.id),
        event_type=body.event_type,
        status_code=status,
    )
    return _json(result)


@blueprint.get("/deliveries", responses={200: WebhookDeliveryPage})
def list_deliveries(path: EndpointPath, query: DeliveriesQuery) -> Response:
    """List the deliveries to an endpoint; those with `status=dead` were given up."""
    after = _response_id(query.after, param="after") if query.after is not None else None
    found = services().store.deliveries.list_deliveries(
        project_id(), path.find().id, status=query.status, after=after, limit=query.limit + 1
    )
    page = [_to_resource(delivery) for delivery in found[: query.limit]]
    first, last = (page[0].response_id, page[-1].response_id) if page else (None, None)
    has_more = len(found) > query.limit
    return _json(WebhookDeliveryPage(data=page, first_id=first, last_id=last, has_more=has_more))


@blueprint.post("/replay", responses={200: ReplayedWebhookDeliveries})
def replay(path: EndpointPath, body: ReplayWebhookDeliveries) -> Response:
    """Send dead deliveries again, for the given responses or for all."""
    endpoint = path.find()
    if endpoint.disabled_at is not None:
        message = "The endpoint is disabled: enable it first."
        raise InvalidRequestError(message, param="webhook_endpoint_id")
    response_ids = None
    if body.response_ids is not None:
        response_ids = [
            _response_id(wire_id, param="response_ids") for wire_id in body.response_ids
        ]
    num_replayed = services().store.deliveries.replay(project_id(), endpoint.id, response_ids)
    endpoint_id = endpoint_wire_id(endpoint.id)
    return _json(
        ReplayedWebhookDeliveries(webhook_endpoint_id=endpoint_id, num_replayed=num_replayed)
    )


def _response_id(wire_id: str, *, param: str) -> UUID:
    response_id = parse_response_id(wire_id)
    if response_id is None:
        raise InvalidRequestError(f"'{wire_id}' is not the id of a response.", param=param)
    return response_id


def _to_resource(delivery: DeliveryRecord) -> WebhookDeliveryResource:
    last, is_pending = delivery.last_attempt_at, delivery.status == "pending"
    return WebhookDeliveryResource(
        id=webhook_id(delivery.response_id, delivery.endpoint_id),
        webhook_endpoint_id=endpoint_wire_id(delivery.endpoint_id),
        response_id=response_wire_id(delivery.response_id),
        event_type=delivery.event_type,
        status=delivery.status,
        num_attempts=delivery.num_attempts,
        last_attempt_at=int(last.timestamp()) if last else None,
        last_status_code=delivery.last_status_code,
        last_error=delivery.last_error,
        next_attempt_at=int(delivery.next_attempt_at.timestamp()) if is_pending else None,
    )


def _json(answer: BaseModel) -> Response:
    return Response(answer.model_dump_json(), mimetype="application/json")
