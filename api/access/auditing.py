"""Audit of requests: every change of an audited route, and counts of what is refused."""

import logging

from flask import Flask, Response, g, request

from api.access.access_log import AccessLog, Refusal
from api.http.forwarded import client_address
from models.access.caller import Caller
from models.errors import InsufficientPermissionsError, InvalidApiKeyError
from models.outages import OUTAGES
from models.store.access.audit import AuditEntryRecord, AuditTrail

logger = logging.getLogger(__name__)

ACTIONS = {
    "admin_keys.create": "key.create",
    "admin_keys.revoke": "key.revoke",
    "admin_keys.rotate": "key.rotate",
    "admin_limits.update": "project.limits",
    "admin_projects.create": "project.create",
    "admin_projects.delete": "project.delete",
    "admin_projects.update": "project.update",
    "dashboard.cancel_response": "response.cancel",
    "dashboard.create_key": "key.create",
    "dashboard.create_project": "project.create",
    "dashboard.create_webhook": "webhook_endpoint.create",
    "dashboard.delete_project": "project.delete",
    "dashboard.delete_response": "response.delete",
    "dashboard.delete_webhook": "webhook_endpoint.delete",
    "dashboard.log_in": "session.begin",
    "dashboard.log_out": "session.end",
    "dashboard.replay_webhook": "webhook_endpoint.replay",
    "dashboard.retry_response": "response.retry",
    "dashboard.revoke_key": "key.revoke",
    "dashboard.rotate_key": "key.rotate",
    "dashboard.run_bulk": "response.bulk",
    "dashboard.try_webhook": "webhook_endpoint.test",
    "dashboard.update_project": "project.update",
    "webhook_deliveries.replay": "webhook_endpoint.replay",
    "webhook_deliveries.try_out": "webhook_endpoint.test",
    "webhooks.create": "webhook_endpoint.create",
    "webhooks.delete": "webhook_endpoint.delete",
    "webhooks.rotate_secret": "webhook_endpoint.rotate",
    "webhooks.update": "webhook_endpoint.update",
}
"""Audited routes by their endpoint of Flask, and the action that each of them is."""
_OK = "ok"
_MAX_OBJECT = 100


def audit_object(object_id: str, project_id: str | None = None) -> None:
    """Name what the current request acts on, and its project if that is not the caller's."""
    g.audit_object = object_id
    g.audit_project = project_id


def install_auditing(app: Flask, trail: AuditTrail, access_log: AccessLog) -> None:
    """Write an entry after each request of an audited route, and count what is refused."""

    def audit(response: Response) -> Response:
        result = _OK if response.status_code < 400 else _code_of(response)
        caller: Caller | None = g.get("caller")
        if result in (InvalidApiKeyError.default_code, InsufficientPermissionsError.default_code):
            access_log.note_refusal(_make_refusal(caller, result))
        elif caller is not None and request.endpoint in ACTIONS:
            _write(trail, _make_entry(caller, ACTIONS[request.endpoint], result))
        return response

    app.after_request(audit)


def _make_refusal(caller: Caller | None, result: str) -> Refusal:
    if caller is None:
        return Refusal(address=client_address(), result=result)
    return Refusal(
        project_id=caller.project_id,
        key_id=caller.key_id,
        address=client_address(),
        object=f"{request.method} {request.url_rule}",
        result=result,
    )


def _make_entry(caller: Caller, action: str, result: str) -> AuditEntryRecord:
    # An id in a path is a client's text until something has been found by it.
    named = next(iter((request.view_args or {}).values()), "") if result == _OK else ""
    return AuditEntryRecord(
        project_id=g.get("audit_project") or caller.project_id,
        key_id=caller.key_id,
        address=client_address(),
        action=action,
        object=str(g.get("audit_object") or named)[:_MAX_OBJECT],
        result=result,
    )


def _write(trail: AuditTrail, entry: AuditEntryRecord) -> None:
    try:
        trail.add(entry)
    except OUTAGES:
        # What it tells of has happened: the log has it at least.
        fields = {"action": entry.action, "object": entry.object, "key_id": entry.key_id}
        logger.exception("audit entry not written", extra=fields)


def _code_of(response: Response) -> str:
    if (code := g.get("error_code")) is not None:
        return str(code)
    body = response.get_json(silent=True) if response.is_json else None
    error = body.get("error") if isinstance(body, dict) else None
    return str((error or {}).get("code") or response.status_code)
