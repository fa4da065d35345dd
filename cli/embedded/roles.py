"""Roles of a database: the server's processes connect as one of three, none a superuser."""

from collections.abc import Mapping

import psycopg
from psycopg.sql import SQL, Identifier, Literal

OWNER, APP, MAINTENANCE = "antiphon_owner", "antiphon_app", "antiphon_maintenance"
ROLES = (OWNER, APP, MAINTENANCE)
"""Owner of the tables, which migrates them; the API and the workers; the maintenance process."""

# A database of an earlier version belongs to the superuser.
_ADOPT = f"""
DO $$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT c.oid::regclass::text FROM pg_class c
                WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
                  AND c.relowner <> '{OWNER}'::regrole LOOP
        EXECUTE 'ALTER TABLE ' || name || ' OWNER TO {OWNER}';
    END LOOP;
    FOR name IN SELECT p.oid::regprocedure::text FROM pg_proc p
                WHERE p.pronamespace = 'public'::regnamespace
                  AND p.proowner <> '{OWNER}'::regrole LOOP
        EXECUTE 'ALTER FUNCTION ' || name || ' OWNER TO {OWNER}';
    END LOOP;
END $$
"""


def create_roles(url: str, passwords: Mapping[str, str]) -> None:
    """Create the roles, or set their passwords, and make the owner own the database.

    `url` is a superuser's, of the database that is handed over.
    """
    with psycopg.connect(url) as connection:
        for role in ROLES:
            found = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role])
            verb = "ALTER" if found.rowcount else "CREATE"
            # Not the password itself: Postgres logs statements that fail.
            verifier = connection.pgconn.encrypt_password(
                passwords[role].encode(), role.encode(), b"scram-sha-256"
            )
            options = SQL("{} ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {}")
            connection.execute(
                options.format(SQL(verb), Identifier(role), Literal(verifier.decode()))
            )
        database = Identifier(connection.info.dbname)
        connection.execute(SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
        for role in ROLES:
            grant = SQL("GRANT CONNECT ON DATABASE {} TO {}")
            connection.execute(grant.format(database, Identifier(role)))
        owner = SQL("ALTER DATABASE {} OWNER TO {}")
        connection.execute(owner.format(database, Identifier(OWNER)))
        connection.execute(_ADOPT)
