"""Projects with limits, and their keys, on a server of the benchmarks."""

import contextlib
from typing import Any

import orjson
import psycopg

from bench.server import Server
from models.access.digests import digest_of
from models.access.projects import ProjectLimits
from models.access.scopes import ALL_SCOPES
from models.access.tokens import Token
from models.settings import Settings
from models.store.access.api_keys import ApiKeyRecord
from models.store.store import Store


def add_tenant(server: Server, project_id: str, **limits: Any) -> str:
    """Create a project and a key of it; return the key as clients send it."""
    assert server.data_dir is not None
    assert server.database_url is not None
    value = orjson.dumps(ProjectLimits(**limits).model_dump(exclude_none=True)).decode()
    with psycopg.connect(server.database_url, autocommit=True) as connection:
        connection.execute("SELECT set_config('antiphon.project', %s, false)", [project_id])
        connection.execute(
            "INSERT INTO projects (project_id, name, limits) VALUES (%s, %s, %s)",
            [project_id, project_id, value],
        )
    url = Settings(database_url=server.database_url).database_url
    assert url is not None
    opened = Store.open(url, pool_size=1, secret_file=server.data_dir / "secret")
    with contextlib.closing(opened) as store:
        token = Token.new()
        store.api_keys.create(
            ApiKeyRecord(
                id=token.id,
                project_id=project_id,
                name="bench",
                scopes=ALL_SCOPES,
                digest=digest_of(token, store.database.vault),
                created_by="cli",
            )
        )
    return token.reveal()
