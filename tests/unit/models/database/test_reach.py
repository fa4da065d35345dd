import pytest

from models.database.reach import reach_parameters, with_reach

_REACH = "reach AS (SELECT CAST(%(statement_reach)s AS statement_reach))"


@pytest.mark.parametrize("statement", ["SELECT 1", "INSERT INTO a", "UPDATE a", "DELETE FROM a"])
def test_a_statement_sets_its_reach(statement: str) -> None:
    assert with_reach(f"\n    {statement}") == f"WITH {_REACH} {statement}"


def test_a_statement_with_queries_sets_its_reach_in_another() -> None:
    assert with_reach("WITH a AS (SELECT 1) SELECT") == f"WITH {_REACH}, a AS (SELECT 1) SELECT"
    assert with_reach("\nWITH RECURSIVE a AS ()") == f"WITH RECURSIVE {_REACH}, a AS ()"


def test_a_command_without_rows_has_no_reach() -> None:
    assert with_reach("SET LOCAL a = b") == "SET LOCAL a = b"


@pytest.mark.parametrize("statement", ["TABLE a", "(SELECT 1)", "MERGE INTO a", "select 1", ""])
def test_no_statement_is_executed_in_another_reach_than_its_own(statement: str) -> None:
    with pytest.raises(ValueError, match="has to begin with"):
        with_reach(statement)


def test_the_reach_is_a_parameter() -> None:
    assert reach_parameters({"id": 1}, "one") == {"id": 1, "statement_reach": "one"}
