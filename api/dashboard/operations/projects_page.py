"""Page about projects: their limits and queues; operators create, change and delete them."""

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from api.dashboard.blueprint import blueprint
from api.dashboard.operations.answers import ADMIN_PATH, number, parse, read
from api.dashboard.pages import render
from api.routes.admin import projects
from models.access.projects import ProjectLimits
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
    project = read(projects.retrieve(projects.ProjectPath(project_id=project_id)))
    limits = [
        (name, project["limits"][name], field.description)
        for name, field in ProjectLimits.model_fields.items()
    ]
    return render("project.html", project=project, limits=limits)


@blueprint.post(_ONE)
def update_project(project_id: str) -> Response:
    """Change a project: a limit that is left empty is left to the server."""
    limits = {
        name: number(request.form[name].strip()) if request.form.get(name, "").strip() else None
        for name in ProjectLimits.model_fields
    }
    body = parse(UpdateProject, {"name": request.form.get("name", "").strip(), "limits": limits})
    projects.update(projects.ProjectPath(project_id=project_id), body)
    return redirect(url_for("dashboard.show_project", project_id=project_id), code=303)


@blueprint.post(f"{_ONE}/delete")
def delete_project(project_id: str) -> Response:
    """Begin to delete a project and all that it has."""
    projects.delete(projects.ProjectPath(project_id=project_id))
    return redirect(url_for("dashboard.show_projects"), code=303)
