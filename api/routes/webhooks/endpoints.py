"""/v1/webhook_endpoints: URLs to notify when a background response has ended."""

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel

from api.access.auditing import audit_object
from api.access.current import current_caller
from api.routes.webhooks.lookup import EndpointPath, EndpointsQuery, check_url
from api.services import project_id, services
from models.errors import InvalidRequestError, WebhookEndpointNotFoundError
from models.ids import endpoint_wire_id, new_id, parse_endpoint_id
from models.schemas.webhooks import (
    CreateWebhookEndpoint,
    DeletedWebhookEndpoint,
    RotateWebhookSecret,
    UpdateWebhookEndpoint,
    WebhookEndpointPage,
    WebhookEndpointResource,
    WebhookEndpointWithSecret,
    WebhookEventTypes,
)
from models.store.webhooks.endpoints import MAX_ENDPOINTS, EndpointRecord
from models.webhooks.message import new_secret

blueprint = APIBlueprint("webhooks", __name__, url_prefix="/v1", abp_tags=[Tag(name="Webhooks")])

_PATH = "/webhook_endpoints"
_ONE = f"{_PATH}/<string:webhook_endpoint_id>"
_HINT_LENGTH = 4


@blueprint.get("/webhook_event_types", responses={200: WebhookEventTypes})
def list_event_types() -> Response:
    """List the event types that endpoints can subscribe to."""
    return _json(WebhookEventTypes())


@blueprint.post(_PATH, responses={200: WebhookEndpointWithSecret})
def create(body: CreateWebhookEndpoint) -> Response:
    """Create an endpoint; its signing secret is returned only this once."""
    check_url(body.url)
    limit = current_caller().project.limits.max_webhook_endpoints
    max_endpoints = min(MAX_ENDPOINTS, limit or MAX_ENDPOINTS)
    endpoint = services().store.webhooks.create(
        project_id(), new_id(), new_secret(), body.model_dump(), max_endpoints=max_endpoints
    )
    if endpoint is None:
        message = f"A project has at most {max_endpoints} webhook endpoints."
        raise InvalidRequestError(message, code="too_many_webhook_endpoints")
    audit_object(endpoint_wire_id(endpoint.id))
    return _respond_with_secret(endpoint)


@blueprint.get(_PATH, responses={200: WebhookEndpointPage})
def list_endpoints(query: EndpointsQuery) -> Response:
    """List the endpoints, newest first."""
    after = None
    if query.after is not None and (after := parse_endpoint_id(query.after)) is None:
        raise InvalidRequestError("after must be the id of a webhook endpoint.", param="after")
    found = services().store.webhooks.list_endpoints(
        project_id(), after=after, limit=query.limit + 1
    )
    page = [_to_resource(endpoint) for endpoint in found[: query.limit]]
    first, last = (page[0].id, page[-1].id) if page else (None, None)
    has_more = len(found) > query.limit
    return _json(WebhookEndpointPage(data=page, first_id=first, last_id=last, has_more=has_more))


@blueprint.get(_ONE, responses={200: WebhookEndpointResource})
def retrieve(path: EndpointPath) -> Response:
    """Read an endpoint."""
    return _json(_to_resource(path.find()))


@blueprint.post(_ONE, responses={200: WebhookEndpointResource})
def update(path: EndpointPath, body: UpdateWebhookEndpoint) -> Response:
    """Change an endpoint; fields that are left out keep their values."""
    if body.url is not None:
        check_url(body.url)
    changes = body.model_dump(exclude_none=True)
    endpoint = services().store.webhooks.update(project_id(), path.id(), changes)
    return _json(_to_resource(path.require(endpoint)))


@blueprint.delete(_ONE, responses={200: DeletedWebhookEndpoint})
def delete(path: EndpointPath) -> Response:
    """Delete an endpoint and its deliveries, including those that have not been sent."""
    if not services().store.webhooks.delete(project_id(), path.id()):
        raise WebhookEndpointNotFoundError(path.webhook_endpoint_id)
    return _json(DeletedWebhookEndpoint(id=path.webhook_endpoint_id))


@blueprint.post(f"{_ONE}/rotate_secret", responses={200: WebhookEndpointWithSecret})
def rotate_secret(path: EndpointPath, body: RotateWebhookSecret) -> Response:
    """Replace the signing secret; on request, the old one signs too for 24 hours."""
    keep_old = body.keep_old_secret_active_for_24_hours
    endpoint = services().store.webhooks.rotate_secret(
        project_id(), path.id(), new_secret(), keep_old=keep_old
    )
    return _respond_with_secret(path.require(endpoint))


def _to_resource(endpoint: EndpointRecord) -> WebhookEndpointResource:
    failing_since = endpoint.failing_since
    return WebhookEndpointResource(
        id=endpoint_wire_id(endpoint.id),
        created_at=int(endpoint.created_at.timestamp()),
        updated_at=int(endpoint.updated_at.timestamp()),
        name=endpoint.name,
        url=endpoint.url,
        event_types=endpoint.event_types,
        signing_secret_hint=f"whsec_…{endpoint.signing_secret[-_HINT_LENGTH:]}",
        enabled=endpoint.disabled_at is None,
        failing_since=int(failing_since.timestamp()) if failing_since else None,
    )


def _respond_with_secret(endpoint: EndpointRecord) -> Response:
    fields = _to_resource(endpoint).model_dump()
    return _json(WebhookEndpointWithSecret(**fields, signing_secret=endpoint.signing_secret))


def _json(answer: BaseModel) -> Response:
    return Response(answer.model_dump_json(), mimetype="application/json")
