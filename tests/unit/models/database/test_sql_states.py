import psycopg
import pytest
from psycopg import errors

from models.database.sql_states import is_busy, is_session_shared, is_session_stale, is_value_error

_OUTAGES = [
    "08006",  # connection_failure
    "0A000",  # cached plan must not change result type
    "25006",  # read_only_sql_transaction
    "26000",  # invalid_sql_statement_name
    "28P01",  # invalid_password
    "3D000",  # invalid_catalog_name
    "3F000",  # invalid_schema_name
    "40001",  # serialization_failure
    "40P01",  # deadlock_detected
    "42501",  # insufficient_privilege
    "42703",  # undefined_column
    "42P01",  # undefined_table
    "42P05",  # duplicate_prepared_statement
    "53100",  # disk_full
    "53200",  # out_of_memory
    "53300",  # too_many_connections
    "55000",  # object_not_in_prerequisite_state: closed to connections
    "55P03",  # lock_not_available
    "57014",  # query_canceled
    "57P01",  # admin_shutdown
    "57P02",  # crash_shutdown
    "57P03",  # cannot_connect_now
    "58000",  # system_error
    "58030",  # io_error
    "XX000",  # internal_error
    "XX001",  # data_corrupted
]
_VALUES = [
    "21000",  # cardinality_violation
    "22001",  # string_data_right_truncation
    "22P05",  # untranslatable_character
    "23502",  # not_null_violation
    "23505",  # unique_violation
    "23514",  # check_violation
    "44000",  # with_check_option_violation
    "P0001",  # raise_exception
]
_STALE = ["08006", "0A000", "25006", "26000", "28P01", "3D000", "42P05", "57P01", "57P02", "57P03"]


def error(state: str) -> psycopg.Error:
    return errors.lookup(state)("…")


@pytest.mark.parametrize("state", _OUTAGES)
def test_a_server_that_refuses_is_an_outage(state: str) -> None:
    assert not is_value_error(error(state))


@pytest.mark.parametrize("state", _VALUES)
def test_a_rejected_value_is_no_outage(state: str) -> None:
    assert is_value_error(error(state))
    assert not is_session_stale(error(state))


@pytest.mark.parametrize("state", _OUTAGES)
def test_sessions_are_replaced_if_the_error_concerns_them(state: str) -> None:
    assert is_session_stale(error(state)) is (state in _STALE)


@pytest.mark.parametrize(("state", "busy"), [("55P03", True), ("57014", True), ("57P01", False)])
def test_a_statement_that_waited_in_vain_says_so(state: str, busy: bool) -> None:
    assert is_busy(error(state)) is busy


@pytest.mark.parametrize("state", ["26000", "42P05"])
def test_a_pooler_shows_by_its_prepared_statements(state: str) -> None:
    assert is_session_shared(error(state))
    assert not is_session_shared(error("25006"))


@pytest.mark.parametrize(
    ("kind", "is_value"),
    [
        (psycopg.OperationalError, False),
        (psycopg.InterfaceError, False),
        (psycopg.InternalError, False),
        (psycopg.DataError, True),
        (psycopg.ProgrammingError, True),
    ],
)
def test_what_the_driver_raises_is_known_by_its_class(
    kind: type[psycopg.Error], is_value: bool
) -> None:
    assert is_value_error(kind("…")) is is_value
