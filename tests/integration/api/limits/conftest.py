"""Fixtures of the tests of limits: an open server whose default project has some."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
from flask_openapi3.openapi import OpenAPI

from api.services import Services
from models.access.projects import ProjectLimits
from models.settings import Settings
from models.store.store import Store
from models.tables import DEFAULT_PROJECT
from tests.integration.conftest import RunSql

Limit = Callable[..., None]
"""Function that sets limits of a project, which is the default one unless it is named."""


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    path = tmp_path / "secret"
    path.write_text("a secret of the server\n")
    return settings.model_copy(update={"secret_file": path})


@pytest.fixture
def key_store(settings: Settings) -> Iterator[Store]:
    """Return a store that can create keys."""
    assert settings.database_url is not None
    url, path = settings.database_url, settings.secret_file
    with closing(Store.open(url, pool_size=1, secret_file=path)) as store:
        yield store


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
