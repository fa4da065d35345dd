"""Every route with an id: one of another project is answered as one that nothing has."""

from collections.abc import Callable
from typing import Any

import pytest
from flask_openapi3.openapi import OpenAPI

from api.access.route_scopes import PUBLIC, SCOPES
from tests.integration.api.requests import parsed
from tests.integration.desk import Desk
from tests.security.isolation.belongings import Belongings, Caller, nothing

Request = tuple[str, str, Any]
"""Method, path and body."""

_ITEM = {"role": "user", "content": "Mine."}
_HOOK = {"url": "http://127.0.0.1:9/other"}

ROUTES: dict[str, list[Callable[[Belongings], Request]]] = {
    "conversations.create_items": [
        lambda of: ("POST", f"/v1/conversations/{of.conversation}/items", {"items": [_ITEM]}),
    ],
    "conversations.delete": [
        lambda of: ("DELETE", f"/v1/conversations/{of.conversation}", None),
    ],
    "conversations.delete_item": [
        lambda of: (
            "DELETE",
            f"/v1/conversations/{of.conversation}/items/{of.conversation_item}",
            None,
        ),
    ],
    "conversations.list_items": [
        lambda of: ("GET", f"/v1/conversations/{of.conversation}/items", None),
        lambda of: (
            "GET",
            f"/v1/conversations/{of.conversation}/items?after={of.conversation_item}",
            None,
        ),
    ],
    "conversations.retrieve": [
        lambda of: ("GET", f"/v1/conversations/{of.conversation}", None),
    ],
    "conversations.retrieve_item": [
        lambda of: (
            "GET",
            f"/v1/conversations/{of.conversation}/items/{of.conversation_item}",
            None,
        ),
    ],
    "conversations.update": [
        lambda of: ("POST", f"/v1/conversations/{of.conversation}", {"metadata": {"a": "b"}}),
    ],
    "dashboard.cancel_response": [
        lambda of: ("POST", f"/dashboard/responses/{of.response}/cancel", None),
    ],
    "dashboard.confirm_bulk": [
        lambda of: ("GET", f"/dashboard/bulk/delete?id={of.response}", None),
        lambda of: ("GET", "/dashboard/bulk/cancel?meta=secret%3Dtheirs", None),
    ],
    "dashboard.delete_response": [
        lambda of: ("POST", f"/dashboard/responses/{of.response}/delete", None),
    ],
    "dashboard.list_responses": [
        lambda of: ("GET", f"/dashboard/responses?after={of.response}", None),
        lambda of: ("GET", "/dashboard/responses?meta=secret%3Dtheirs", None),
    ],
    "dashboard.poll_response": [
        lambda of: ("GET", f"/dashboard/responses/{of.response}/summary", None),
    ],
    "dashboard.poll_responses": [
        lambda of: ("GET", f"/dashboard/responses/rows?after={of.response}", None),
    ],
    "dashboard.delete_webhook": [
        lambda of: ("POST", f"/dashboard/webhooks/{of.webhook_endpoint}/delete", None),
    ],
    "dashboard.replay_webhook": [
        lambda of: ("POST", f"/dashboard/webhooks/{of.webhook_endpoint}/replay", None),
    ],
    "dashboard.retry_response": [
        lambda of: ("POST", f"/dashboard/responses/{of.response}/retry", None),
    ],
    "dashboard.show_chain": [
        lambda of: ("GET", f"/dashboard/responses/{of.response}/chain", None),
    ],
    "dashboard.show_conversation": [
        lambda of: ("GET", f"/dashboard/conversations/{of.conversation}", None),
        lambda of: (
            "GET",
            f"/dashboard/conversations/{of.conversation}?after={of.conversation_item}",
            None,
        ),
    ],
    "dashboard.show_json": [
        lambda of: ("GET", f"/dashboard/responses/{of.response}/json", None),
    ],
    "dashboard.show_response": [
        lambda of: ("GET", f"/dashboard/responses/{of.response}", None),
    ],
    "dashboard.show_playground": [
        lambda of: ("GET", f"/dashboard/playground?from={of.response}", None),
    ],
    "dashboard.show_webhook": [
        lambda of: ("GET", f"/dashboard/webhooks/{of.webhook_endpoint}", None),
    ],
    "dashboard.stream": [
        lambda of: ("GET", f"/dashboard/responses/{of.response}/events", None),
    ],
    "dashboard.try_webhook": [
        lambda of: ("POST", f"/dashboard/webhooks/{of.webhook_endpoint}/test", None),
    ],
    "responses.cancel_response": [
        lambda of: ("POST", f"/v1/responses/{of.response}/cancel", None),
    ],
    "responses.delete": [lambda of: ("DELETE", f"/v1/responses/{of.response}", None)],
    "responses.list_input_items": [
        lambda of: ("GET", f"/v1/responses/{of.response}/input_items", None),
    ],
    "responses.list_responses": [
        lambda of: ("GET", f"/v1/responses?after={of.response}", None),
        lambda of: ("GET", f"/v1/responses?before={of.response}", None),
        lambda of: ("GET", "/v1/responses?metadata[secret]=theirs", None),
        lambda of: ("GET", f"/v1/responses?id_prefix={of.response}", None),
    ],
    "responses.retrieve": [
        lambda of: ("GET", f"/v1/responses/{of.response}", None),
        lambda of: ("GET", f"/v1/responses/{of.response}?stream=true", None),
        lambda of: ("GET", f"/v1/responses/{of.response}?stream=true&starting_after=1", None),
    ],
    "responses.retrieve_request": [
        lambda of: ("GET", f"/v1/responses/{of.response}/request", None),
    ],
    "webhook_deliveries.list_deliveries": [
        lambda of: ("GET", f"/v1/webhook_endpoints/{of.webhook_endpoint}/deliveries", None),
    ],
    "webhook_deliveries.replay": [
        lambda of: ("POST", f"/v1/webhook_endpoints/{of.webhook_endpoint}/replay", {}),
    ],
    "webhook_deliveries.try_out": [
        lambda of: (
            "POST",
            f"/v1/webhook_endpoints/{of.webhook_endpoint}/test",
            {"event_type": "response.completed"},
        ),
    ],
    "webhooks.delete": [
        lambda of: ("DELETE", f"/v1/webhook_endpoints/{of.webhook_endpoint}", None),
    ],
    "webhooks.list_endpoints": [
        lambda of: ("GET", f"/v1/webhook_endpoints?after={of.webhook_endpoint}", None),
    ],
    "webhooks.retrieve": [
        lambda of: ("GET", f"/v1/webhook_endpoints/{of.webhook_endpoint}", None),
    ],
    "webhooks.rotate_secret": [
        lambda of: ("POST", f"/v1/webhook_endpoints/{of.webhook_endpoint}/rotate_secret", {}),
    ],
    "webhooks.update": [
        lambda of: ("POST", f"/v1/webhook_endpoints/{of.webhook_endpoint}", _HOOK),
    ],
}
"""Requests of each route that has an id in its path or query."""

WITHOUT_IDS = {
    "dashboard.log_out",
    "dashboard.run_bulk",
    "dashboard.show_webhooks",
    "docs.docs",
    "docs.openapi",
    "docs.static",
    "models.list_models",
    "models.retrieve_model",
    "static",
    "webhooks.list_event_types",
}
"""Routes that show what belongs to no project."""

OF_ALL_PROJECTS = {"metrics.metrics"}
"""Routes that show sums over all projects to operators: `test_metrics.py`."""

OF_PROJECTS = {"queue.list_queues": "/v1/queue"}
"""Path of the routes that show what the project of the caller has, and name nothing of it."""

WITH_BODIES = {
    "dashboard.check_request",
    "dashboard.create_webhook",
    "dashboard.run_request",
    "chat_completions.create",
    "compact.compact_conversation",
    "conversations.create",
    "responses.count_input_tokens",
    "responses.create",
    "webhooks.create",
    "websocket.serve_websocket",
}
"""Routes whose ids are in bodies and messages: `test_fields.py` and `test_websocket.py`."""

_PAGES = "/dashboard/admin"
OF_OPERATORS: dict[str, tuple[str, str]] = {
    "admin_keys.create": ("POST", "/admin/v1/keys"),
    "admin_keys.list_keys": ("GET", "/admin/v1/keys"),
    "admin_keys.revoke": ("DELETE", "/admin/v1/keys/0123456789"),
    "admin_keys.rotate": ("POST", "/admin/v1/keys/0123456789/rotate"),
    "admin_limits.list_limits": ("GET", "/admin/v1/limits"),
    "admin_limits.retrieve": ("GET", "/admin/v1/limits/default"),
    "admin_limits.update": ("POST", "/admin/v1/limits/default"),
    "admin_operations.list_audit_entries": ("GET", "/admin/v1/audit"),
    "admin_operations.list_workers": ("GET", "/admin/v1/workers"),
    "admin_projects.create": ("POST", "/admin/v1/projects"),
    "admin_projects.delete": ("DELETE", "/admin/v1/projects/default"),
    "admin_projects.list_projects": ("GET", "/admin/v1/projects"),
    "admin_projects.retrieve": ("GET", "/admin/v1/projects/default"),
    "admin_projects.update": ("POST", "/admin/v1/projects/default"),
    "dashboard.create_key": ("POST", f"{_PAGES}/keys"),
    "dashboard.create_project": ("POST", f"{_PAGES}/projects"),
    "dashboard.delete_project": ("POST", f"{_PAGES}/projects/default/delete"),
    "dashboard.poll_graphs": ("GET", f"{_PAGES}/graphs/figures"),
    "dashboard.poll_workers": ("GET", f"{_PAGES}/workers/rows"),
    "dashboard.revoke_key": ("POST", f"{_PAGES}/keys/0123456789/revoke"),
    "dashboard.rotate_key": ("POST", f"{_PAGES}/keys/0123456789/rotate"),
    "dashboard.show_audit": ("GET", f"{_PAGES}/audit"),
    "dashboard.show_graphs": ("GET", f"{_PAGES}/graphs"),
    "dashboard.show_keys": ("GET", f"{_PAGES}/keys"),
    "dashboard.show_project": ("GET", f"{_PAGES}/projects/default"),
    "dashboard.show_projects": ("GET", f"{_PAGES}/projects"),
    "dashboard.show_workers": ("GET", f"{_PAGES}/workers"),
    "dashboard.update_project": ("POST", f"{_PAGES}/projects/default"),
}
"""Method and path of the routes of the admin API and its pages, which are about all projects."""

_VARYING = {"x-request-id", "date", "set-cookie"}


def snapshot(caller: Caller, of: Belongings) -> list[bytes]:
    """Return all that its owner sees of it."""
    paths = (
        f"/v1/responses/{of.response}",
        f"/v1/responses/{of.response}/input_items",
        "/v1/responses",
        f"/v1/conversations/{of.conversation}",
        f"/v1/conversations/{of.conversation}/items",
        f"/v1/webhook_endpoints/{of.webhook_endpoint}",
        f"/v1/webhook_endpoints/{of.webhook_endpoint}/deliveries",
    )
    answers = [caller.ask("GET", path) for path in paths]
    assert {answer.status_code for answer in answers} == {200}
    return [answer.data for answer in answers]


def answer_to(caller: Caller, request: Request, of: Belongings) -> tuple[int, str, str]:
    """Return status, headers and body of an answer, the ids in them replaced."""
    answer = caller.ask(*request)
    headers = sorted(
        f"{name}: {value}" for name, value in answer.headers if name.lower() not in _VARYING
    )
    return answer.status_code, of.replace_in("\n".join(headers)), of.replace_in(answer.text)


REQUESTS = {
    f"{endpoint}-{number}": make
    for endpoint, requests in ROUTES.items()
    for number, make in enumerate(requests)
}


def test_every_route_has_a_row(app: OpenAPI) -> None:
    routes = {rule.endpoint for rule in app.url_map.iter_rules()}

    of_keys = ROUTES.keys() | WITHOUT_IDS | WITH_BODIES | OF_PROJECTS.keys()
    assert routes - PUBLIC == of_keys | OF_OPERATORS.keys() | OF_ALL_PROJECTS
    with_path_ids = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if rule.arguments - {"action", "filename", "model"}
    }
    assert with_path_ids <= ROUTES.keys() | OF_OPERATORS.keys()
    assert SCOPES.keys() == routes - PUBLIC


@pytest.mark.parametrize("make", REQUESTS.values(), ids=REQUESTS)
def test_an_id_of_another_project_is_answered_as_an_unknown_one(
    us: Caller, them: Caller, theirs: Belongings, make: Callable[[Belongings], Request]
) -> None:
    # A test event cannot be delivered: nobody listens there.
    its_owner_gets = {400} if "/test" in make(theirs)[1] else {200, 303}
    before = snapshot(them, theirs)
    unknown = nothing()

    expected = answer_to(us, make(unknown), unknown)
    assert answer_to(us, make(theirs), theirs) == expected

    assert snapshot(them, theirs) == before
    # So it was refused for its id alone.
    assert them.ask(*make(theirs)).status_code in its_owner_gets


@pytest.mark.parametrize("path", OF_PROJECTS.values(), ids=OF_PROJECTS)
def test_what_another_project_has_is_not_shown(
    us: Caller, them: Caller, desk: Desk, path: str
) -> None:
    desk.create()

    assert parsed(them.ask("GET", path))["data"]
    assert parsed(us.ask("GET", path))["data"] == []
