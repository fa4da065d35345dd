"""Projects and their limits, as operators create, change and read them."""

from typing import Literal

from pydantic import BaseModel

from models.access.projects import ProjectLimits, ProjectPermissions, ProjectStatus
from models.schemas.admin.bodies import (
    AdminBody,
    AllowedModels,
    Name,
    ProjectId,
    RetentionDays,
    Weight,
)


class ProjectPermissionChanges(AdminBody):
    """Permissions to change; null stands for the default."""

    web_search: bool | None = None
    mcp: bool | None = None
    image_urls: bool | None = None


class CreateProject(AdminBody):
    """A new project."""

    id: ProjectId | None = None
    """Its id for ever; made here by default."""
    name: Name = ""
    limits: ProjectLimits = ProjectLimits()
    permissions: ProjectPermissionChanges = ProjectPermissionChanges()
    allowed_models: AllowedModels | None = None
    """Ids of the models that it may use; null for all that are served."""
    retention_days: RetentionDays | None = None
    """Days that its finished responses are kept, if fewer than the server's."""
    weight: Weight | None = None
    """Share of the tokens that it gets, relative to other projects that have responses queued; null
    for 1."""


class UpdateProject(AdminBody):
    """The fields of a project to change; the others stay, those of limits and permissions too."""

    name: Name | None = None
    limits: ProjectLimits = ProjectLimits()
    permissions: ProjectPermissionChanges = ProjectPermissionChanges()
    allowed_models: AllowedModels | None = None
    retention_days: RetentionDays | None = None
    weight: Weight | None = None


class ProjectResource(BaseModel):
    """A project."""

    id: str
    object: Literal["project"] = "project"
    name: str
    status: ProjectStatus
    created_at: int
    limits: ProjectLimits
    permissions: ProjectPermissions
    allowed_models: list[str] | None
    retention_days: float | None
    weight: float


class ProjectList(BaseModel):
    """All projects of which something is left."""

    object: Literal["list"] = "list"
    data: list[ProjectResource]


class LimitsResource(ProjectLimits):
    """The limits of one project; null leaves one to the server's."""

    object: Literal["project.limits"] = "project.limits"
    project_id: str


class LimitsList(BaseModel):
    """The limits of all projects."""

    object: Literal["list"] = "list"
    data: list[LimitsResource]
