"""/admin/v1/projects: create, list, read, change, delete."""

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from pydantic import BaseModel

from api.access.auditing import audit_object
from api.routes.admin.answers import ADMIN, PREFIX, to_json
from api.services import services
from models.access.projects import ProjectRecord
from models.errors import InvalidRequestError, ProjectNotFoundError
from models.ids import new_project_id
from models.schemas.admin.projects import (
    CreateProject,
    ProjectList,
    ProjectResource,
    UpdateProject,
)
from models.tables import DEFAULT_PROJECT

blueprint = APIBlueprint(
    "admin_projects", __name__, url_prefix=f"{PREFIX}/projects", abp_tags=[ADMIN]
)


class ProjectPath(BaseModel):
    """Path parameters of a project."""

    project_id: str

    def find(self) -> ProjectRecord:
        """Return the project, also one that is deleted; raise a 404 if there is none."""
        found = services().store.administration.get(self.project_id)
        if found is None:
            raise ProjectNotFoundError(self.project_id)
        return found


@blueprint.post("", responses={200: ProjectResource})
def create(body: CreateProject) -> Response:
    """Create a project."""
    project_id = body.id or new_project_id()
    project = services().store.administration.create(
        project_id, body.model_dump(exclude={"id"}, exclude_none=True)
    )
    if project is None:
        message = f"The id '{project_id}' is that of a project, or was that of a deleted one."
        raise InvalidRequestError(message, param="id", code="project_exists")
    audit_object(project_id, project_id)
    return to_json(to_resource(project))


@blueprint.get("", responses={200: ProjectList})
def list_projects() -> Response:
    """List the projects, oldest first, with those that are being deleted."""
    found = services().store.administration.list_projects()
    return to_json(ProjectList(data=[to_resource(project) for project in found]))


@blueprint.get("/<string:project_id>", responses={200: ProjectResource})
def retrieve(path: ProjectPath) -> Response:
    """Read a project; of a deleted one, `status` tells if all of it is gone."""
    return to_json(to_resource(path.find()))


@blueprint.post("/<string:project_id>", responses={200: ProjectResource})
def update(path: ProjectPath, body: UpdateProject) -> Response:
    """Change a project."""
    return to_json(to_resource(change(path, body)))


@blueprint.delete("/<string:project_id>", responses={200: ProjectResource})
def delete(path: ProjectPath) -> Response:
    """Stop the keys of a project, and begin to delete all of it."""
    if path.project_id == DEFAULT_PROJECT:
        message = "The default project cannot be deleted."
        raise InvalidRequestError(message, param="project_id")
    project = services().store.administration.begin_deletion(path.project_id)
    if project is None:
        raise ProjectNotFoundError(path.project_id)
    services().authenticator.forget()
    audit_object(project.project_id, project.project_id)
    return to_json(to_resource(project))


def change(path: ProjectPath, changes: BaseModel) -> ProjectRecord:
    """Change the fields that are set; raise a 404 if there is no project to change."""
    # A field that is null was set to null, which stands for its default.
    fields = changes.model_dump(exclude_unset=True)
    project = services().store.administration.update(path.project_id, fields)
    if project is None:
        raise ProjectNotFoundError(path.project_id)
    services().authenticator.forget()
    audit_object(project.project_id, project.project_id)
    return project


def to_resource(project: ProjectRecord) -> ProjectResource:
    """Return a project as operators see it."""
    models = project.allowed_models
    return ProjectResource(
        id=project.project_id,
        name=project.name,
        status=project.status,
        created_at=int(project.created_at.timestamp()),
        limits=project.limits,
        permissions=project.permissions,
        allowed_models=None if models is None else list(models),
        retention_days=project.retention_days,
        weight=project.weight,
    )
