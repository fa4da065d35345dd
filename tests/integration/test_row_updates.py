"""Database writes per response, counted by triggers."""

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from tests.integration.api.requests import create, wait_for_end
from tests.integration.conftest import MakeWorker, RunSql

_TABLES = ("responses", "items", "event_archives", "idempotency_keys", "conversations")
_COUNT = """
    CREATE FUNCTION count_write() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
        INSERT INTO writes VALUES (TG_ARGV[0], TG_OP);
        RETURN NULL;
    END $$
"""


@pytest.fixture
def counted(sql: RunSql) -> Iterator[RunSql]:
    """Add triggers that insert a row into `writes` for every row inserted or updated."""
    sql("CREATE TABLE writes (name text, operation text)")
    sql(_COUNT)
    for table in _TABLES:
        sql(
            f"CREATE TRIGGER count_writes AFTER INSERT OR UPDATE ON {table}"
            f" FOR EACH ROW EXECUTE FUNCTION count_write('{table}')"
        )
    yield sql
    sql("DROP FUNCTION count_write CASCADE")
    sql("DROP TABLE writes")


def test_a_response_is_updated_twice_and_each_other_row_written_once(
    http: FlaskClient, make_worker: MakeWorker, counted: RunSql
) -> None:
    worker = make_worker(checkpoint_seconds=0)

    wait_for_end(http, create(http)["id"])

    worker.wait_idle()
    writes = counted("SELECT name, operation, count(*) FROM writes GROUP BY 1, 2 ORDER BY 1, 2")
    assert writes == [
        ("event_archives", "INSERT", 1),
        ("items", "INSERT", 2),
        ("responses", "INSERT", 1),
        ("responses", "UPDATE", 2),  # claim and finish
    ]
