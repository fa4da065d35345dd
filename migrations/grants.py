"""Rights of the roles that the server's processes connect as, granted after every migration.

`antiphon_app` reads and writes the rows of one project at a time. `antiphon_maintenance` works for
all projects, in the tables that have the policy `upkeep`, and creates and drops partitions, by
functions. Both only add to the audit trail, which maintenance expires by a function. The owner sees
all rows, when it says so. Roles that do not exist are skipped: the owner may then be all others.
"""

from sqlalchemy import NullPool, create_engine, text

from models.database.address import sqlalchemy_url

_GRANT = text("""
DO $$
DECLARE
    role text;
    name text;
    policy record;
BEGIN
    SET LOCAL lock_timeout = '2s';
    FOR role IN SELECT rolname FROM pg_roles
                WHERE rolname IN ('antiphon_app', 'antiphon_maintenance') LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), role);
        FOR name IN SELECT c.oid::regclass::text FROM pg_class c
                    WHERE c.relnamespace = current_schema()::regnamespace
                      AND c.relkind IN ('r', 'p') AND NOT c.relispartition LOOP
            EXECUTE format(CASE WHEN name = 'alembic_version' THEN 'GRANT SELECT ON %s TO %I'
                           ELSE 'GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %I' END,
                           name, role);
        END LOOP;
    END LOOP;
    FOR role IN SELECT rolname FROM pg_roles
                WHERE rolname IN ('antiphon_app', 'antiphon_maintenance')
                  AND to_regclass('audit_entries') IS NOT NULL LOOP
        EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON audit_entries FROM %I', role);
    END LOOP;
    FOR name IN SELECT p.oid::regprocedure::text FROM pg_proc p CROSS JOIN pg_roles r
                WHERE p.pronamespace = current_schema()::regnamespace
                  AND p.proname IN ('add_month', 'drop_month', 'expire_audit_entries')
                  AND r.rolname = 'antiphon_maintenance' LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO antiphon_maintenance', name);
    END LOOP;
    FOR policy IN
        SELECT made.polname, c.oid::regclass::text AS table, made.polroles, wanted.roles,
               (SELECT string_agg(member::regrole::text, ', ') FROM unnest(wanted.roles) member)
               AS names
        FROM pg_policy made JOIN pg_class c ON c.oid = made.polrelid CROSS JOIN LATERAL (
            SELECT array_agg(r.oid) AS roles FROM pg_roles r WHERE r.oid = c.relowner
                OR made.polname = 'upkeep' AND r.rolname = 'antiphon_maintenance') wanted
        WHERE c.relnamespace = current_schema()::regnamespace
          AND made.polname IN ('upkeep', 'ownership')
    LOOP
        -- Not for nothing: it locks the table.
        IF NOT (policy.polroles @> policy.roles AND policy.roles @> policy.polroles) THEN
            EXECUTE format('ALTER POLICY %I ON %s TO %s',
                           policy.polname, policy.table, policy.names);
        END IF;
    END LOOP;
END $$
""")


def grant_rights(url: str) -> None:
    """Grant the rights on all tables that there are now; `url` is their owner's."""
    engine = create_engine(sqlalchemy_url(url), poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(_GRANT)
