"""/v1/webhook_endpoints: whom to tell when a background response has ended."""

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel

from api.routes.webhook_lookup import EndpointPath, EndpointsQuery, check_url
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
from models.store.webhooks.endpoints import MAX_ENDPOINTS, StoredEndpoint
from models.webhooks.message import new_secret

blueprint = APIBlueprint("webhooks", __name__, url_prefix="/v1", abp_tags=[Tag(name="Webhooks")])

_PATH = "/webhook_endpoints"
_ONE = f"{_PATH}/<string:webhook_endpoint_id>"
_HINT_LENGTH = 4


@blueprint.get("/webhook_event_types", responses={200: WebhookEventTypes})
def list_event_types() -> Response:
    """List the events that endpoints can be told of."""
    return _json(WebhookEventTypes())


@blueprint.post(_PATH, responses={200: WebhookEndpointWithSecret})
def create(body: CreateWebhookEndpoint) -> Response:
    """Create an endpoint; its signing secret is shown this once."""
    check_url(body.url)
    stored = services().store.webhooks.create(
        project_id(), new_id(), new_secret(), body.model_dump()
    )
    if stored is None:
        message = f"A project has at most {MAX_ENDPOINTS} webhook endpoints."
        raise InvalidRequestError(message, code="too_many_webhook_endpoints")
    return _with_secret(stored)


@blueprint.get(_PATH, responses={200: WebhookEndpointPage})
def list_endpoints(query: EndpointsQuery) -> Response:
    """List the endpoints, newest first."""
    after = None
    if query.after is not None and (after := parse_endpoint_id(query.after)) is None:
        raise InvalidRequestError("after must be the id of a webhook endpoint.", param="after")
    found = services().store.webhooks.list_endpoints(
        project_id(), after=after, limit=query.limit + 1
    )
    page = [_resource(stored) for stored in found[: query.limit]]
    first, last = (page[0].id, page[-1].id) if page else (None, None)
    more = len(found) > query.limit
    return _json(WebhookEndpointPage(data=page, first_id=first, last_id=last, has_more=more))


@blueprint.get(_ONE, responses={200: WebhookEndpointResource})
def retrieve(path: EndpointPath) -> Response:
    """Read an endpoint."""
    return _json(_resource(path.find()))


@blueprint.post(_ONE, responses={200: WebhookEndpointResource})
def update(path: EndpointPath, body: UpdateWebhookEndpoint) -> Response:
    """Change an endpoint; what is not given stays."""
    if body.url is not None:
        check_url(body.url)
    changes = body.model_dump(exclude_none=True)
    stored = services().store.webhooks.update(project_id(), path.id(), changes)
    return _json(_resource(path.known(stored)))


@blueprint.delete(_ONE, responses={200: DeletedWebhookEndpoint})
def delete(path: EndpointPath) -> Response:
    """Delete an endpoint with its deliveries, also those that have not been sent."""
    if not services().store.webhooks.delete(project_id(), path.id()):
        raise WebhookEndpointNotFoundError(path.webhook_endpoint_id)
    return _json(DeletedWebhookEndpoint(id=path.webhook_endpoint_id))


@blueprint.post(f"{_ONE}/rotate_secret", responses={200: WebhookEndpointWithSecret})
def rotate_secret(path: EndpointPath, body: RotateWebhookSecret) -> Response:
    """Sign with a new secret, and for a day with the old one too if asked."""
    keep_old = body.keep_old_secret_active_for_24_hours
    stored = services().store.webhooks.rotate_secret(
        project_id(), path.id(), new_secret(), keep_old=keep_old
    )
    return _with_secret(path.known(stored))


def _resource(stored: StoredEndpoint) -> WebhookEndpointResource:
    failing_since = stored.failing_since
    return WebhookEndpointResource(
        id=endpoint_wire_id(stored.id),
        created_at=int(stored.created_at.timestamp()),
        updated_at=int(stored.updated_at.timestamp()),
        name=stored.name,
        url=stored.url,
        event_types=stored.event_types,
        signing_secret_hint=f"whsec_…{stored.signing_secret[-_HINT_LENGTH:]}",
        enabled=stored.disabled_at is None,
        failing_since=int(failing_since.timestamp()) if failing_since else None,
    )


def _with_secret(stored: StoredEndpoint) -> Response:
    fields = _resource(stored).model_dump()
    return _json(WebhookEndpointWithSecret(**fields, signing_secret=stored.signing_secret))


def _json(answer: BaseModel) -> Response:
    return Response(answer.model_dump_json(), mimetype="application/json")
