"""Pages about workers and about the audit trail."""

from flask import request

from api.dashboard.blueprint import blueprint
from api.dashboard.operations.answers import ADMIN_PATH, parse, read
from api.dashboard.operations.worker_figures import figures_of_worker
from api.dashboard.pages import render
from api.routes.admin.operations import AuditQuery, list_audit_entries, list_workers
from api.services import services

_AUDIT_PAGE = 50


@blueprint.get(f"{ADMIN_PATH}/workers")
def show_workers() -> str:
    """Show the workers, and the queue of each project."""
    return render("workers.html", **_read_workers())


@blueprint.get(f"{ADMIN_PATH}/workers/rows")
def poll_workers() -> str:
    """Return the part of the page that changes, which is the same for all who may see it."""

    def make() -> tuple[str, str]:
        return "", render("worker_rows.html", **_read_workers())

    return services().shared_views.get("workers", make)[1]


@blueprint.get(f"{ADMIN_PATH}/audit")
def show_audit() -> str:
    """Show the audit trail, newest first."""
    project_id, after = request.args.get("project_id", ""), request.args.get("after", "")
    query = parse(AuditQuery, {"project_id": project_id, "after": after, "limit": _AUDIT_PAGE})
    return render("audit.html", page=read(list_audit_entries(query)), project_id=project_id)


def _read_workers() -> dict[str, object]:
    queued = services().store.projects.num_queued()
    projects = sorted({project_id for project_id, _ in queued})
    queues = [
        (project_id, queued.get((project_id, True), 0), queued.get((project_id, False), 0))
        for project_id in projects
    ]
    gauges = services().metrics.published()
    workers = [
        (worker, figures_of_worker(gauges, worker["model"], worker["host"], worker["name"]))
        for worker in read(list_workers())["data"]
    ]
    return {"workers": workers, "queues": queues}
