"""Scope that each route needs. A route without a row fails a test, and is refused."""

from models.access.scopes import Scope

_READ, _WRITE = Scope.RESPONSES_READ, Scope.RESPONSES_WRITE

DASHBOARD = "dashboard"
"""Name of the blueprint of the dashboard, whose routes know sessions besides keys."""

PUBLIC = frozenset(
    {
        "dashboard.home",
        "dashboard.log_in",
        "dashboard.show_login",
        "dashboard.static",
        "health.livez",
        "health.readyz",
    }
)
"""Routes that need no key."""

SCOPES: dict[str, Scope | None] = {
    "admin_keys.create": Scope.ADMIN,
    "admin_keys.list_keys": Scope.ADMIN,
    "admin_keys.revoke": Scope.ADMIN,
    "admin_keys.rotate": Scope.ADMIN,
    "admin_limits.list_limits": Scope.ADMIN,
    "admin_limits.retrieve": Scope.ADMIN,
    "admin_limits.update": Scope.ADMIN,
    "admin_operations.list_audit_entries": Scope.ADMIN,
    "admin_operations.list_workers": Scope.ADMIN,
    "admin_projects.create": Scope.ADMIN,
    "admin_projects.delete": Scope.ADMIN,
    "admin_projects.list_projects": Scope.ADMIN,
    "admin_projects.retrieve": Scope.ADMIN,
    "admin_projects.update": Scope.ADMIN,
    "chat_completions.create": _WRITE,
    "compact.compact_conversation": _WRITE,
    "conversations.create": Scope.CONVERSATIONS,
    "conversations.create_items": Scope.CONVERSATIONS,
    "conversations.delete": Scope.CONVERSATIONS,
    "conversations.delete_item": Scope.CONVERSATIONS,
    "conversations.list_items": Scope.CONVERSATIONS,
    "conversations.retrieve": Scope.CONVERSATIONS,
    "conversations.retrieve_item": Scope.CONVERSATIONS,
    "conversations.update": Scope.CONVERSATIONS,
    "dashboard.cancel_response": _WRITE,
    "dashboard.check_request": _WRITE,
    "dashboard.delete_response": _WRITE,
    "dashboard.list_responses": _READ,
    "dashboard.log_out": None,
    "dashboard.poll_response": _READ,
    "dashboard.poll_responses": _READ,
    "dashboard.retry_response": _WRITE,
    "dashboard.run_request": _WRITE,
    "dashboard.show_json": _READ,
    "dashboard.show_playground": _WRITE,
    "dashboard.show_response": _READ,
    "dashboard.stream": _READ,
    "docs.docs": None,
    "docs.openapi": None,
    "docs.static": None,
    "metrics.metrics": Scope.METRICS,
    "models.list_models": None,
    "models.retrieve_model": None,
    "responses.cancel_response": _WRITE,
    "responses.count_input_tokens": _WRITE,
    "responses.create": _WRITE,
    "responses.delete": _WRITE,
    "responses.list_input_items": _READ,
    "responses.list_responses": _READ,
    "responses.retrieve": _READ,
    "static": None,
    "webhook_deliveries.list_deliveries": Scope.WEBHOOKS,
    "webhook_deliveries.replay": Scope.WEBHOOKS,
    "webhook_deliveries.try_out": Scope.WEBHOOKS,
    "webhooks.create": Scope.WEBHOOKS,
    "webhooks.delete": Scope.WEBHOOKS,
    "webhooks.list_endpoints": Scope.WEBHOOKS,
    "webhooks.list_event_types": Scope.WEBHOOKS,
    "webhooks.retrieve": Scope.WEBHOOKS,
    "webhooks.rotate_secret": Scope.WEBHOOKS,
    "webhooks.update": Scope.WEBHOOKS,
    "websocket.serve_websocket": _WRITE,
}
"""Scope by endpoint of Flask; None if any key will do."""
