"""Faults in which Postgres and Valkey answer, but refuse to work; each can be mended."""

from collections.abc import Callable
from dataclasses import dataclass

import redis

_RELOAD = "SELECT pg_reload_conf()"
_READ_ONLY = "ALTER SYSTEM SET default_transaction_read_only = on"
_READ_WRITE = "ALTER SYSTEM RESET default_transaction_read_only"
_END_OTHERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND application_name LIKE 'antiphon%'
"""
# A trigger answers in the place of a missing right, with the same error, whatever the role: some
# trials have the superuser's alone, from whom nothing can be revoked.
_DENY = """
    CREATE OR REPLACE FUNCTION chaos_deny() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION 'permission denied for table %', TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege';
    END $$;
    CREATE TRIGGER chaos_deny BEFORE INSERT OR UPDATE OR DELETE ON responses
        FOR EACH STATEMENT EXECUTE FUNCTION chaos_deny();
    CREATE TRIGGER chaos_deny BEFORE INSERT OR UPDATE OR DELETE ON workers
        FOR EACH STATEMENT EXECUTE FUNCTION chaos_deny();
"""


def _alter_roles(change: str) -> str:
    """Return a statement that changes every role with which a process may connect."""
    return f"""
        DO $$ DECLARE role text; BEGIN
            FOR role IN SELECT rolname FROM pg_roles WHERE rolcanlogin LOOP
                EXECUTE format('ALTER ROLE %I {change}', role);
            END LOOP;
        END $$
    """


POOLER = "pgbouncer"
"""Name of the refusal in which the pooler is stopped; in trials with one."""
OTHER_PASSWORD = "chaos"


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresRefusal:
    """Statements that make Postgres refuse, and those that mend it."""

    strike: tuple[str, ...]
    mend: tuple[str, ...]
    database: str = "postgres"
    """Database from which they are executed."""
    ends_by_itself: bool = False
    """True if service should be back before it is mended, on new connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValkeyRefusal:
    """Settings or commands that make Valkey refuse, and those that mend it."""

    strike: Callable[[redis.Redis], object]
    mend: Callable[[redis.Redis, str], object]
    """Called with the server's own password."""
    ends_by_itself: bool = False


def _set(name: str, value: object) -> Callable[[redis.Redis], object]:
    return lambda client: client.config_set(name, str(value))


def _reset(name: str, value: object) -> Callable[[redis.Redis, str], object]:
    return lambda client, _: client.config_set(name, str(value))


def _set_and_cut_off(name: str, value: object) -> Callable[[redis.Redis], object]:
    """Change a setting that holds for new connections, and end all others."""

    def strike(client: redis.Redis) -> None:
        client.config_set(name, str(value))
        for kind in ("normal", "pubsub"):
            client.client_kill_filter(_type=kind, skipme=True)

    return strike


POSTGRES: dict[str, PostgresRefusal] = {
    "postgres read-only": PostgresRefusal(
        strike=(_READ_ONLY, _RELOAD), mend=(_READ_WRITE, _RELOAD)
    ),
    # Sessions that are open stay read-only, as with a primary that was demoted; new ones reach a
    # primary, as behind an address that has moved.
    "postgres demoted": PostgresRefusal(
        strike=(
            _READ_ONLY,
            _RELOAD,
            "SELECT pg_sleep(0.2)",
            _alter_roles("SET default_transaction_read_only = off"),
        ),
        mend=(
            _READ_WRITE,
            _RELOAD,
            _alter_roles("RESET default_transaction_read_only"),
        ),
        ends_by_itself=True,
    ),
    "postgres rights revoked": PostgresRefusal(
        strike=(_DENY,), mend=("DROP FUNCTION IF EXISTS chaos_deny CASCADE",)
    ),
    "postgres table renamed": PostgresRefusal(
        strike=("ALTER TABLE responses RENAME TO away", "ALTER TABLE workers RENAME TO away_too"),
        mend=(
            "ALTER TABLE IF EXISTS away RENAME TO responses",
            "ALTER TABLE IF EXISTS away_too RENAME TO workers",
        ),
    ),
    "postgres closed": PostgresRefusal(
        strike=("ALTER DATABASE postgres ALLOW_CONNECTIONS false", _END_OTHERS),
        mend=("ALTER DATABASE postgres ALLOW_CONNECTIONS true",),
        database="template1",  # no database can close itself
    ),
    "postgres locked": PostgresRefusal(
        strike=("BEGIN", "LOCK TABLE responses, workers IN ACCESS EXCLUSIVE MODE"), mend=()
    ),
}
VALKEY: dict[str, ValkeyRefusal] = {
    "valkey READONLY": ValkeyRefusal(
        strike=lambda client: client.replicaof("127.0.0.1", "1"),
        mend=lambda client, _: client.replicaof("NO", "ONE"),
    ),
    "valkey NOREPLICAS": ValkeyRefusal(
        strike=_set("min-replicas-to-write", 1), mend=_reset("min-replicas-to-write", 0)
    ),
    "valkey maxmemory": ValkeyRefusal(strike=_set("maxmemory", 1), mend=_reset("maxmemory", 0)),
    "valkey password": ValkeyRefusal(
        strike=_set_and_cut_off("requirepass", OTHER_PASSWORD),
        mend=lambda client, password: client.config_set("requirepass", password),
    ),
    "valkey maxclients": ValkeyRefusal(
        strike=_set_and_cut_off("maxclients", 1), mend=_reset("maxclients", 10_000)
    ),
    "valkey scripts": ValkeyRefusal(
        strike=lambda client: client.script_flush(),
        mend=lambda client, _: client.ping(),
        ends_by_itself=True,
    ),
}


def ends_by_itself(name: str) -> bool:
    """Return True if service should be back although the refusal has not been mended."""
    refusal = POSTGRES.get(name) or VALKEY.get(name)
    return refusal is not None and refusal.ends_by_itself
