"""Postgres: reachable, new enough, migrated, with the right roles, and a clock like ours."""

import time
from collections.abc import Iterator

from cli.doctor.finding import Finding
from cli.doctor.installation import TIMEOUT_S, Installation, driver_url

_MIN_VERSION = 16
_MAX_SKEW_S = 2.0
_RESERVED = 10
"""Connections left for maintenance, migrations and people."""
_POOL = 16
"""Connections of one process of the API, and of one worker."""
_MIGRATE = "run ./antiphon migrate with the DATABASE_URL of the owner of the tables"


def reachable(at: Installation) -> Iterator[Finding]:
    """Look if both addresses of the database answer."""
    import psycopg

    named = {"DATABASE_URL": at.database_url}
    named.setdefault("DATABASE_MAINTENANCE_URL", at.maintenance_url)
    for variable, url in named.items():
        try:
            psycopg.connect(driver_url(url), connect_timeout=TIMEOUT_S).close()
        except psycopg.Error as error:
            reason = " ".join(str(error).split())
            yield Finding(
                f"{variable}: the database does not let us in: {reason}",
                f"start Postgres, or correct {variable}: "
                "postgresql://user:password@host:port/database",
            )


def version(at: Installation) -> Iterator[Finding]:
    """Look if Postgres is new enough."""
    major = at.database.info.server_version // 10_000
    if major < _MIN_VERSION:
        yield Finding(
            f"Postgres is of version {major}",
            f"DATABASE_URL must name a Postgres {_MIN_VERSION} or newer",
        )


def migrations(at: Installation) -> Iterator[Finding]:
    """Look if the tables are those of this version."""
    [(table,)] = at.query("SELECT to_regclass('alembic_version')::text")
    found = [row[0] for row in at.query(f"SELECT version_num FROM {table}")] if table else []
    revisions = _revisions()
    if not found:
        yield Finding("the database has no tables of ours", _MIGRATE)
    elif found[0] not in revisions:
        yield Finding(
            f"the tables are of a newer version ({found[0]}) than this code ({revisions[-1]})",
            "check out the newer version of Antiphon that migrated them",
        )
    elif found[0] != revisions[-1]:
        yield Finding(
            f"the tables are of an older version ({found[0]}) than this code ({revisions[-1]})",
            _MIGRATE,
        )


def _revisions() -> list[str]:
    """Return the revisions of the migrations of this code, the oldest first."""
    from pathlib import Path

    folder = Path(__file__).parents[3] / "migrations" / "versions"
    return sorted(path.name[:4] for path in folder.glob("[0-9]*.py"))


def roles(at: Installation) -> Iterator[Finding]:
    """Look if the roles can do their work, and the API no more than that."""
    [(role, bypasses)] = at.query("""
        SELECT current_user::text, rolsuper OR rolbypassrls FROM pg_roles
        WHERE rolname = current_user
    """)
    if bypasses:
        yield Finding(
            f"DATABASE_URL: {role} is not held to row-level security",
            "create the three roles by ./antiphon roles FOLDER, and name antiphon_app",
        )
    tables = "to_regclass('responses') IS NOT NULL"
    [(may_write,)] = at.query(f"""
        SELECT CASE WHEN {tables} THEN has_table_privilege('responses', 'SELECT, INSERT, UPDATE')
                    AND has_table_privilege('items', 'INSERT') END
    """)
    if may_write is False:
        yield Finding(f"DATABASE_URL: {role} may not write responses", _MIGRATE)
    [(has_policies,)] = at.query("SELECT to_regprocedure('may_upkeep()') IS NOT NULL", upkeep=True)
    if has_policies:
        [(role, may_upkeep)] = at.query("SELECT current_user::text, may_upkeep()", upkeep=True)
        if not may_upkeep:
            yield Finding(
                f"workers and maintenance connect as {role}, which sees one project at a time",
                "set DATABASE_MAINTENANCE_URL to the address of antiphon_maintenance",
            )


def connections(at: Installation) -> Iterator[Finding]:
    """Look if Postgres allows as many connections as the processes may open."""
    [(allowed,)] = at.query("SELECT current_setting('max_connections')::int")
    settings = at.settings
    num_workers = settings.workers * len(settings.split_by_model())
    needed = _POOL * (settings.api_processes + num_workers) + _RESERVED
    if allowed < needed:
        yield Finding(
            f"Postgres allows {allowed} connections; {settings.api_processes} API processes and "
            f"{num_workers} workers may open {needed}",
            f"set max_connections = {needed} in postgresql.conf, or lower ANTIPHON_API_PROCESSES",
        )


def clock(at: Installation) -> Iterator[Finding]:
    """Look if the clock of the database agrees with that of this machine."""
    before = time.time()
    [(there,)] = at.query("SELECT extract(epoch FROM clock_timestamp())::float")
    skew_s = there - (before + time.time()) / 2
    if abs(skew_s) > _MAX_SKEW_S:
        yield Finding(
            f"the clock of the database is {skew_s:+.1f} s off that of this machine",
            "synchronise the clocks of both machines (chrony, systemd-timesyncd)",
        )
