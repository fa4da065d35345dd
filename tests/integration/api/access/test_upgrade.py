"""An open installation with data is upgraded: it stays as it is until its first key exists."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from flask.testing import FlaskClient
from typer.testing import CliRunner

from api.access.authenticator import CACHE_S
from cli.main import app as commands
from models.ids import new_id
from models.settings import Settings
from tests.integration.api.requests import parsed
from tests.integration.conftest import running_app
from tests.polling import eventually

ROOT = Path(__file__).parents[4]
WITHOUT_KEYS = "0013"
"""Last schema that had neither projects to tell apart nor keys."""
_FILL = """
    WITH made AS (
        INSERT INTO responses (id, project_id, model, status, background, store, metadata)
        VALUES (%(id)s, 'default', 'scripted', 'completed', true, true, '{"a":"b"}')
    )
    INSERT INTO items (response_id, direction, position, project_id, body)
    VALUES (%(id)s, 'output', 0, 'default', %(item)s)
"""
_ITEM = '{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[]}'


@pytest.fixture
def old(empty_database_url: str, settings: Settings) -> tuple[Settings, str]:
    """Return the settings of an installation of the previous schema, and its response's id."""
    url = empty_database_url.replace("postgresql://", "postgresql+psycopg://")
    config = Config(toml_file=ROOT / "pyproject.toml")
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    command.upgrade(config, WITHOUT_KEYS)
    response_id = new_id()
    with psycopg.connect(empty_database_url) as connection:
        connection.execute(_FILL, {"id": response_id, "item": _ITEM})
    return settings.model_copy(update={"database_url": url}), f"resp_{response_id.hex}"


def variables(settings: Settings) -> dict[str, str | None]:
    return {
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "ANTIPHON_SECRET_FILE": str(settings.secret_file),
        "ANTIPHON_PORT": "1",
        "ANTIPHON_URL": None,
    }


@pytest.fixture
def upgraded(old: tuple[Settings, str]) -> Iterator[tuple[FlaskClient, Settings, str]]:
    settings, response_id = old
    result = CliRunner().invoke(commands, ["migrate"], env=variables(settings))
    assert result.exit_code == 0, result.output
    with running_app(settings) as app:
        yield app.test_client(), settings, response_id


def use(http: FlaskClient, response_id: str, headers: dict[str, str]) -> list[int]:
    """Read, list, continue, create, and look at what is there; return the status of each."""
    body: dict[str, Any] = {"input": "Hello.", "background": True}
    further = body | {"previous_response_id": response_id}
    answers = [
        http.get(f"/v1/responses/{response_id}", headers=headers),
        http.get("/v1/responses", headers=headers),
        http.get("/v1/models", headers=headers),
        http.post("/v1/responses", json=body, headers=headers),
        http.post("/v1/responses", json=further, headers=headers),
        http.post("/v1/conversations", json={}, headers=headers),
        http.get("/v1/webhook_endpoints", headers=headers),
    ]
    return [answer.status_code for answer in answers]


def test_nothing_changes_until_the_first_key_and_then_everything_needs_one(
    upgraded: tuple[FlaskClient, Settings, str],
) -> None:
    http, settings, response_id = upgraded
    for headers in ({}, {"Authorization": "Bearer unused"}):
        assert use(http, response_id, headers) == [200] * 7
    found = parsed(http.get(f"/v1/responses/{response_id}"))
    assert (found["metadata"], found["output"][0]["id"]) == ({"a": "b"}, "msg_1")

    made = CliRunner().invoke(commands, ["keys", "create"], env=variables(settings))

    key = made.stdout.split()[2]
    eventually(lambda: use(http, response_id, {}) == [401] * 7, within_s=CACHE_S + 1)
    assert use(http, response_id, {"Authorization": f"Bearer {key}"}) == [200] * 7
    assert http.get("/livez").status_code == 200
