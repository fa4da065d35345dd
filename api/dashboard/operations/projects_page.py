"""Page about projects: their limits and queues; operators create, change and delete them."""

from collections.abc import Mapping

from flask import g, redirect, request, url_for
from werkzeug.wrappers import Response

from api.dashboard.blueprint import blueprint
from api.dashboard.operations.answers import ADMIN_PATH, parse, read, validate
from api.dashboard.operations.project_form import controls, read_form
from api.dashboard.pages import render
from api.routes.admin import projects
from models.errors import InvalidRequestError
from models.schemas.admin.projects import CreateProject, UpdateProject

_ONE = f"{ADMIN_PATH}/projects/<string:project_id>"


@blueprint.get(f"{ADMIN_PATH}/projects")
def show_projects() -> str:
    """Show all projects."""
    return render("projects.html", projects=read(projects.list_projects())["data"])


@blueprint.post(f"{ADMIN_PATH}/projects")
def create_project() -> Response:
    """Create a project."""
    fields = {name: request.form.get(name, "").strip() for name in ("id", "name")}
    projects.create(parse(CreateProject, fields))
    return redirect(url_for("dashboard.show_projects"), code=303)


@blueprint.get(_ONE)
def show_project(project_id: str) -> str:
    """Show one project with all its limits."""
    return _show(project_id, {}, None)


@blueprint.post(_ONE)
def update_project(project_id: str) -> Response:
    """Change a project: a field that is left empty is left to the server."""
    try:
        body = validate(UpdateProject, read_form(request.form))
    except InvalidRequestError as error:
        g.error_code = error.code
        page = _show(project_id, request.form, error)
        return Response(page, error.http_status, mimetype="text/html")
    projects.update(projects.ProjectPath(project_id=project_id), body)
    return redirect(url_for("dashboard.show_project", project_id=project_id), code=303)


@blueprint.post(f"{_ONE}/delete")
def delete_project(project_id: str) -> Response:
    """Begin to delete a project and all that it has."""
    projects.delete(projects.ProjectPath(project_id=project_id))
    return redirect(url_for("dashboard.show_projects"), code=303)


def _show(project_id: str, given: Mapping[str, str], error: InvalidRequestError | None) -> str:
    project = read(projects.retrieve(projects.ProjectPath(project_id=project_id)))
    fields = controls(project, given, error)
    return render("project.html", project=project, fields=fields, error=error)
