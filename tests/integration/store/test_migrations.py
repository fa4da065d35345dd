from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.config import Config

from models.db import Base

_ROOT = Path(__file__).parents[3]


@pytest.fixture
def config(empty_database_url: str) -> Config:
    made = Config(toml_file=_ROOT / "pyproject.toml")
    url = empty_database_url.replace("postgresql://", "postgresql+psycopg://")
    made.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return made


def tables(url: str) -> set[str]:
    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    with psycopg.connect(url) as connection:
        return {name for (name,) in connection.execute(query)} - {"alembic_version"}


def test_it_works(config: Config, empty_database_url: str) -> None:
    command.upgrade(config, "head")

    assert tables(empty_database_url) == set(Base.metadata.tables)


def test_all_migrations_can_be_taken_back_and_made_again(
    config: Config, empty_database_url: str
) -> None:
    command.upgrade(config, "head")
    command.downgrade(config, "base")
    assert tables(empty_database_url) == set()

    command.upgrade(config, "head")

    assert tables(empty_database_url) == set(Base.metadata.tables)


def test_the_migrations_lead_to_the_tables_of_the_models(config: Config) -> None:
    command.upgrade(config, "head")

    command.check(config)
