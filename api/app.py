"""Application factory of the HTTP API."""

import logging
import re
import time
import uuid
from collections.abc import Callable
from typing import Any

from flask import Response, g, request
from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI

from api.access.admin_hosts import install_admin_check
from api.access.auditing import install_auditing
from api.access.authentication import install_authentication
from api.connect import open_services
from api.dashboard import login
from api.dashboard.graphs import page as graphs
from api.dashboard.operations import keys_page, projects_page, server_pages, webhooks_page
from api.dashboard.playground import page as playground
from api.dashboard.responses import actions, bulk, chain_page, detail_page, list_page
from api.http.errors import install_error_handlers
from api.http.forwarded import client_address
from api.http.origins import install_origin_checks
from api.http.strict_json import use_orjson
from api.http.tracing import install_tracing
from api.http.validation_errors import refuse
from api.limits.answers import install_rate_headers
from api.metrics.http import NO_ROUTE, ROUTE
from api.routes import (
    chat_completions,
    compact,
    conversations,
    docs,
    health,
    metrics,
    models,
    queue,
    responses,
)
from api.routes.admin import keys, limits, operations, projects
from api.routes.webhooks import deliveries, endpoints
from api.streaming.timings import StreamTimings
from api.streaming.websocket import handshake as websocket
from models.settings import Settings

logger = logging.getLogger(__name__)

_DASHBOARD = (
    actions,
    bulk,
    chain_page,
    detail_page,
    graphs,
    keys_page,
    list_page,
    login,
    playground,
    projects_page,
    server_pages,
    webhooks_page,
)
"""Modules whose views are those of the dashboard's one blueprint."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class _App(OpenAPI):
    """Flask app all of whose functions are synchronous."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function as it is; to look at each takes time in each request."""
        return func


def create_app(settings: Settings, timings: StreamTimings = StreamTimings()) -> OpenAPI:
    """Create the Flask app of one server process, with its own services."""
    app = _App(
        "antiphon",
        info=Info(title="Antiphon", version="0.1.0"),
        doc_ui=False,
        validation_error_callback=refuse,
    )
    app_services = open_services(settings, timings)
    app.extensions["antiphon"] = app_services
    use_orjson(app)
    install_error_handlers(app)
    app.before_request(_assign_request_id)
    app.after_request(_add_request_id)
    install_tracing(app)
    install_origin_checks(app, settings)
    install_authentication(
        app,
        app_services.authenticator,
        app_services.sessions,
        app_services.open_connections,
        app_services.access_log,
    )
    install_admin_check(app, settings)
    install_auditing(app, app_services.store.audit, app_services.access_log)
    install_rate_headers(app, app_services.limiter)
    app.register_api(responses.blueprint)
    app.register_api(queue.blueprint)
    app.register_api(compact.blueprint)
    app.register_api(chat_completions.blueprint)
    app.register_api(conversations.blueprint)
    app.register_api(models.blueprint)
    app.register_api(endpoints.blueprint)
    app.register_api(deliveries.blueprint)
    for admin in (projects, limits, keys, operations):
        app.register_api(admin.blueprint)
    app.register_blueprint(websocket.blueprint)
    app.register_blueprint(health.blueprint)
    app.register_blueprint(metrics.blueprint)
    app.register_blueprint(docs.blueprint)
    for pages in {module.blueprint for module in _DASHBOARD}:
        app.register_blueprint(pages)
    return app


def _assign_request_id() -> None:
    """Use the client's `x-request-id` if it is valid, else generate an id; note the route."""
    environ, rule = request.environ, request.url_rule
    request_id = environ.get("HTTP_X_REQUEST_ID", "")
    environ[ROUTE] = rule.rule if rule else NO_ROUTE
    g.request_id = request_id if _REQUEST_ID.fullmatch(request_id) else f"req_{uuid.uuid4().hex}"
    g.began_at = time.perf_counter()


def _add_request_id(response: Response) -> Response:
    response.headers["x-request-id"] = g.request_id
    if logger.isEnabledFor(logging.DEBUG):
        logger.debug(
            "request answered",
            extra={
                "request_id": g.request_id,
                "method": request.method,
                "path": request.path,
                "client": client_address(),
                "status": response.status_code,
                "ms": round((time.perf_counter() - g.began_at) * 1000, 1),
            },
        )
    return response
