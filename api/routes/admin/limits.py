"""/admin/v1/limits: the limits of projects."""

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from pydantic import BaseModel

from api.routes.admin.answers import ADMIN, PREFIX, to_json
from api.routes.admin.projects import ProjectPath, change
from api.services import services
from models.access.projects import ProjectLimits, ProjectRecord
from models.schemas.admin.projects import LimitsList, LimitsResource, UpdateProject

blueprint = APIBlueprint("admin_limits", __name__, url_prefix=f"{PREFIX}/limits", abp_tags=[ADMIN])


@blueprint.get("", responses={200: LimitsList})
def list_limits() -> Response:
    """List the limits of all projects."""
    found = services().store.administration.list_projects()
    return to_json(LimitsList(data=[_to_resource(project) for project in found]))


@blueprint.get("/<string:project_id>", responses={200: LimitsResource})
def retrieve(path: ProjectPath) -> Response:
    """Read the limits of a project."""
    return to_json(_to_resource(path.find()))


@blueprint.post("/<string:project_id>", responses={200: LimitsResource})
def update(path: ProjectPath, body: ProjectLimits) -> Response:
    """Change limits of a project; one that is null is left to the server's."""
    changes: BaseModel = UpdateProject(limits=body)
    return to_json(_to_resource(change(path, changes)))


def _to_resource(project: ProjectRecord) -> LimitsResource:
    return LimitsResource(project_id=project.project_id, **project.limits.model_dump())
