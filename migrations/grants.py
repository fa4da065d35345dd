"""Rights of the roles that the server's processes connect as, granted after every migration.

`antiphon_app` reads and writes rows; `antiphon_maintenance` also creates and drops partitions, by
functions. Roles that do not exist are skipped: one role may then be owner and all others.
"""

from sqlalchemy import NullPool, create_engine, text

from models.database.address import sqlalchemy_url

_GRANT = text("""
DO $$
DECLARE
    role text;
    name text;
BEGIN
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
    FOR name IN SELECT p.oid::regprocedure::text FROM pg_proc p CROSS JOIN pg_roles r
                WHERE p.pronamespace = current_schema()::regnamespace
                  AND p.proname IN ('add_month', 'drop_month')
                  AND r.rolname = 'antiphon_maintenance' LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO antiphon_maintenance', name);
    END LOOP;
END $$
""")


def grant_rights(url: str) -> None:
    """Grant the rights on all tables that there are now; `url` is their owner's."""
    engine = create_engine(sqlalchemy_url(url), poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(_GRANT)
