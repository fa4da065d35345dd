import pytest

from models.database.address import sqlalchemy_url


def test_one_server_stays_as_it_is() -> None:
    url = "postgresql+psycopg://user:secret@one:5433/name?sslmode=require"

    assert sqlalchemy_url(url).render_as_string(hide_password=False) == url


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql+psycopg://user:se,cret@one,two/name", ("one", "two")),
        ("postgresql+psycopg://one:1,two:2,three:3/name", ("one:1", "two:2", "three:3")),
        ("postgresql+psycopg://user@one:1,two:2/name?sslmode=require", ("one:1", "two:2")),
    ],
)
def test_of_a_cluster_the_primary_is_asked_for(url: str, hosts: tuple[str, ...]) -> None:
    parsed = sqlalchemy_url(url)

    assert parsed.query["host"] == hosts
    assert parsed.query["target_session_attrs"] == "read-write"
    assert parsed.database == "name"
    assert parsed.host is None


def test_another_choice_of_the_member_is_kept() -> None:
    parsed = sqlalchemy_url("postgresql+psycopg://one,two/name?target_session_attrs=primary")

    assert parsed.query["target_session_attrs"] == "primary"
