"""Fixtures of the tests of limits: an open server whose default project has some."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from flask_openapi3.openapi import OpenAPI

from api.services import Services
from models.access.projects import ProjectLimits
from models.settings import Settings
from models.tables import DEFAULT_PROJECT
from tests.integration.conftest import RunSql
from tests.integration.keys import with_secret

Limit = Callable[..., None]
"""Function that sets limits of a project, which is the default one unless it is named."""


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return with_secret(settings, tmp_path)


@pytest.fixture
def services(app: OpenAPI) -> Services:
    found: Services = app.extensions["antiphon"]
    return found


@pytest.fixture
def limit(services: Services, sql: RunSql) -> Limit:
    """Return a function that sets limits, which the server then knows."""

    def set_limits(project_id: str = DEFAULT_PROJECT, **limits: Any) -> None:
        value = orjson.dumps(ProjectLimits(**limits).model_dump(exclude_none=True)).decode()
        sql("UPDATE projects SET limits = %s WHERE project_id = %s", value, project_id)
        services.authenticator.forget()

    return set_limits
