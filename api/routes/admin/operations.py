"""/admin/v1/audit and /admin/v1/workers: what was done, and who works."""

from datetime import UTC, datetime

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from pydantic import Field

from api.routes.admin.answers import ADMIN, PREFIX, to_json
from api.routes.queries import Query
from api.services import services
from models.errors import InvalidRequestError
from models.ids import audit_wire_id, parse_audit_id
from models.schemas.admin.operations import (
    AuditEntryResource,
    AuditPage,
    WorkerList,
    WorkerResource,
)
from models.store.access.audit import AuditEntryRecord
from models.store.workers import WorkerRow

blueprint = APIBlueprint("admin_operations", __name__, url_prefix=PREFIX, abp_tags=[ADMIN])


class AuditQuery(Query):
    """Query parameters for listing the audit trail."""

    since: int | None = Field(None, ge=0, le=1 << 33)
    """Unix time of the oldest entry."""
    project_id: str | None = None
    after: str | None = None
    limit: int = Field(20, ge=1, le=1000)


@blueprint.get("/audit", responses={200: AuditPage})
def list_audit_entries(query: AuditQuery) -> Response:
    """List entries of the audit trail, newest first."""
    after = None
    if query.after is not None and (after := parse_audit_id(query.after)) is None:
        raise InvalidRequestError("after must be the id of an audit entry.", param="after")
    found = services().store.audit.list_entries(
        project_id=query.project_id,
        since=None if query.since is None else datetime.fromtimestamp(query.since, UTC),
        after=after,
        limit=query.limit + 1,
    )
    page = [_to_entry(entry) for entry in found[: query.limit]]
    first, last = (page[0].id, page[-1].id) if page else (None, None)
    has_more = len(found) > query.limit
    return to_json(AuditPage(data=page, first_id=first, last_id=last, has_more=has_more))


@blueprint.get("/workers", responses={200: WorkerList})
def list_workers() -> Response:
    """List the workers with their leases, and how many responses each generates."""
    found = services().store.workers.list_workers()
    return to_json(WorkerList(data=[_to_worker(worker) for worker in found]))


def _to_entry(entry: AuditEntryRecord) -> AuditEntryResource:
    assert entry.occurred_at is not None
    return AuditEntryResource(
        id=audit_wire_id(entry.id),
        occurred_at=int(entry.occurred_at.timestamp()),
        project_id=entry.project_id or None,
        key_id=entry.key_id,
        address=entry.address,
        action=entry.action,
        object_id=entry.object,
        result=entry.result,
        num_times=entry.num_times,
    )


def _to_worker(worker: WorkerRow) -> WorkerResource:
    return WorkerResource(
        id=worker.id.hex,
        name=worker.name,
        model=worker.model,
        host=worker.host,
        pid=worker.pid,
        started_at=int(worker.started_at.timestamp()),
        lease_until=int(worker.lease_until.timestamp()),
        is_alive=worker.is_alive,
        num_running=worker.num_running,
    )
