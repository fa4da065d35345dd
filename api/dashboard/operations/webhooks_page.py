"""Pages about webhook endpoints and their deliveries."""

from typing import Any

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from api.access.sessions import PATH
from api.dashboard.blueprint import blueprint
from api.dashboard.operations.answers import parse, read
from api.dashboard.pages import render
from api.routes.webhooks import deliveries, endpoints
from api.routes.webhooks.lookup import DeliveriesQuery, EndpointPath, EndpointsQuery
from models.schemas.webhooks import (
    CreateWebhookEndpoint,
    ReplayWebhookDeliveries,
    TryWebhookEndpoint,
)

_ALL = f"{PATH}/webhooks"
_ONE = f"{_ALL}/<string:endpoint_id>"
_MAX_ENDPOINTS = 100
_PAGE = 50
_STATUSES = ("", "pending", "delivered", "dead")


@blueprint.get(_ALL)
def show_webhooks() -> str:
    """Show the endpoints."""
    return _show(None)


@blueprint.post(_ALL)
def create_webhook() -> str:
    """Create an endpoint, and show its signing secret this once."""
    form = request.form
    fields = {
        "url": form.get("url", "").strip(),
        "name": form.get("name", "").strip(),
        "event_types": form.getlist("event_types"),
    }
    return _show(read(endpoints.create(parse(CreateWebhookEndpoint, fields))))


@blueprint.get(_ONE)
def show_webhook(endpoint_id: str) -> str:
    """Show an endpoint and the deliveries to it, newest first."""
    return _show_one(endpoint_id, None)


@blueprint.post(f"{_ONE}/test")
def try_webhook(endpoint_id: str) -> str:
    """Send a test event, and show what the endpoint has answered."""
    path, body = _path(endpoint_id), TryWebhookEndpoint(event_type="response.completed")
    return _show_one(endpoint_id, read(deliveries.try_out(path, body)))


@blueprint.post(f"{_ONE}/replay")
def replay_webhook(endpoint_id: str) -> Response:
    """Send all dead deliveries to an endpoint again."""
    deliveries.replay(_path(endpoint_id), ReplayWebhookDeliveries())
    return redirect(url_for("dashboard.show_webhook", endpoint_id=endpoint_id), code=303)


@blueprint.post(f"{_ONE}/delete")
def delete_webhook(endpoint_id: str) -> Response:
    """Delete an endpoint with its deliveries."""
    endpoints.delete(_path(endpoint_id))
    return redirect(url_for("dashboard.show_webhooks"), code=303)


def _show(made: dict[str, Any] | None) -> str:
    listed = read(endpoints.list_endpoints(EndpointsQuery(limit=_MAX_ENDPOINTS)))
    types = read(endpoints.list_event_types())["data"]
    return render("webhooks.html", endpoints=listed["data"], event_types=types, made=made)


def _show_one(endpoint_id: str, tried: dict[str, Any] | None) -> str:
    path = _path(endpoint_id)
    status, after = request.args.get("status", ""), request.args.get("after", "")
    query = parse(DeliveriesQuery, {"status": status, "after": after, "limit": _PAGE})
    return render(
        "webhook.html",
        endpoint=read(endpoints.retrieve(path)),
        page=read(deliveries.list_deliveries(path, query)),
        statuses=_STATUSES,
        status=status,
        tried=tried,
    )


def _path(endpoint_id: str) -> EndpointPath:
    return EndpointPath(webhook_endpoint_id=endpoint_id)
