"""Postgres, Valkey and a whole server for the tests, each started once in a temporary folder.

The settings in the environment of whoever runs the tests are removed.
"""

import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from cli.embedded import EmbeddedPostgres, EmbeddedValkey
from cli.embedded.clusters import remove_clusters
from cli.embedded.roles import OWNER
from models.database.connection import Base
from models.tables import DEFAULT_PROJECT
from tests.acceptance.server import AntiphonServer, make_in
from tests.compiled_routes import share_compiled_routes

ROOT = Path(__file__).parents[1]
_END_OTHERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_EMPTY = (
    "".join(f"DELETE FROM {table.name};" for table in reversed(Base.metadata.sorted_tables))
    + f"INSERT INTO projects (project_id) VALUES ('{DEFAULT_PROJECT}')"
)
_numbers = itertools.count(1)

for _name in [name for name in os.environ if name.startswith("ANTIPHON_")]:
    del os.environ[_name]
for _name in ("DATABASE_URL", "DATABASE_MAINTENANCE_URL", "REDIS_URL"):
    os.environ.pop(_name, None)

share_compiled_routes()

# Without a GPU, GPU kernels run in Triton's interpreter. Triton reads this variable when it is
# imported, which transformers does.
if not Path("/proc/driver/nvidia").exists():
    os.environ["TRITON_INTERPRET"] = "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests that `make nightly` runs, where NIGHTLY is not set."""
    if "NIGHTLY" in os.environ:
        return
    for item in items:
        if item.get_closest_marker("nightly"):
            item.add_marker(pytest.mark.skip(reason="run by `make nightly`"))


@pytest.fixture(scope="session", autouse=True)
def _no_clusters_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Delete the clusters of our data folders that are outside of them, and of ended runs'.

    A run that was killed leaves its own, which are known by the data folder that is gone.
    """
    yield
    ours = tmp_path_factory.getbasetemp().resolve()
    temporary = Path(tempfile.gettempdir()).resolve()
    remove_clusters(
        lambda folder: (
            folder.is_relative_to(ours)
            or (folder.is_relative_to(temporary) and not folder.exists())
        )
    )


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """Start a Postgres server without fsync, which is faster; a crash may lose its data."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"))
    with server:
        _execute(server.url, "ALTER SYSTEM SET fsync = off")
        _execute(server.url, "SELECT pg_reload_conf()")
        yield server
    server.discard()


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    """Start a Valkey server."""
    with EmbeddedValkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def migrated_url(postgres: EmbeddedPostgres) -> str:
    """Create a database migrated to head by `antiphon migrate`, shared by all tests.

    It belongs to the owner's role; the address is the superuser's, which no policy restricts.
    """
    url = _create_database(postgres, "antiphon")
    _execute(postgres.url, f"ALTER DATABASE antiphon OWNER TO {OWNER}")
    owner_url = on_database(postgres.url_of(OWNER), "antiphon")
    environment = os.environ | {"DATABASE_URL": owner_url, "REDIS_URL": "redis://"}
    command = [sys.executable, str(ROOT / "antiphon"), "migrate"]
    subprocess.run(command, env=environment, cwd=ROOT, check=True)
    return url


@pytest.fixture
def database_url(migrated_url: str) -> str:
    """Return the migrated database, emptied, which is faster than a new clone for every test."""
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        # End connections left open by earlier tests, so that they hold no locks and write nothing.
        connection.execute(_END_OTHERS)
        connection.execute(_EMPTY.encode())
    return migrated_url


@pytest.fixture
def empty_database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """Create an empty database for one test."""
    name = f"test_{next(_numbers)}"
    yield _create_database(postgres, name)
    _execute(postgres.url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def redis_url(valkey: EmbeddedValkey) -> str:
    """Return the URL of the Valkey server, emptied."""
    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()
    return valkey.url


@pytest.fixture(scope="session")
def weights_dir() -> Path:
    """Return the folder of the default weights, downloaded once per checkout."""
    data_dir = ROOT / ".antiphon"
    environment = dict(os.environ) | {"ANTIPHON_DATA_DIR": str(data_dir)}
    command = [sys.executable, str(ROOT / "antiphon"), "models", "pull"]
    subprocess.run(command, env=environment, check=True, cwd=ROOT)
    return data_dir / "weights"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, weights_dir: Path) -> Iterator[AntiphonServer]:
    """Start a server with the default weights, shared by all tests; `ENGINE` chooses its engine."""
    settings = {"engine": os.environ.get("ENGINE", "transformers")}
    started = make_in(tmp_path_factory.mktemp("shared") / "data", weights_dir, settings)
    started.start()
    yield started
    assert started.stop() == 0


def _create_database(postgres: EmbeddedPostgres, name: str) -> str:
    _execute(postgres.url, f"CREATE DATABASE {name}")
    return on_database(postgres.url, name)


def on_database(url: str, name: str) -> str:
    """Return the address of another database on the same server."""
    return f"{url.rpartition('/')[0]}/{name}"


def _execute(url: str, statement: str) -> None:
    """Run a statement that cannot be part of a transaction."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())
