"""Let Postgres enforce the project of every statement, by row-level security.

Revision ID: 0018
Revises: 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0015"
branch_labels = None
depends_on = None

# The setting is made while a parameter is converted to the domain, before the statement is planned:
# it costs no message of its own. The previous version has one project, and makes no setting.
_REACH = """
    CREATE DOMAIN statement_reach AS text
        CHECK (set_config('antiphon.project', VALUE, true) IS NOT NULL)
"""
_IN_REACH = """
    CREATE FUNCTION current_reach() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
    RETURN coalesce(nullif(current_setting('antiphon.project', true), ''), 'default')
"""
_MAY_UPKEEP = """
    CREATE FUNCTION may_upkeep() RETURNS boolean LANGUAGE sql STABLE
    RETURN NOT row_security_active('responses') OR EXISTS (
        SELECT FROM pg_policy, unnest(polroles) AS role
        WHERE polrelid = CAST('responses' AS regclass) AND polname = 'upkeep'
          AND pg_has_role(role, 'USAGE'))
"""
_PROTECT_LIKE = """
    CREATE FUNCTION protect_like(name text, other text) RETURNS void LANGUAGE plpgsql AS $$
    DECLARE
        policy record;
    BEGIN
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        FOR policy IN
            SELECT polname, pg_get_expr(polqual, polrelid) AS condition,
                   (SELECT string_agg(CASE WHEN role = 0 THEN 'PUBLIC'
                                           ELSE CAST(CAST(role AS regrole) AS text) END, ', ')
                    FROM unnest(polroles) AS role) AS roles
            FROM pg_policy WHERE polrelid = CAST(other AS regclass)
        LOOP
            EXECUTE format('CREATE POLICY %I ON %I TO %s USING (%s)',
                           policy.polname, name, policy.roles, policy.condition);
        END LOOP;
    END $$
"""
# The API limits the queue of all projects, and reads no more of the others than these numbers.
_QUEUE_SIZES = """
    CREATE FUNCTION queue_sizes() RETURNS TABLE (project text, background boolean, num bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
    DECLARE
        reach text := current_setting('antiphon.project', true);
    BEGIN
        PERFORM set_config('antiphon.project', '*', true);
        RETURN QUERY SELECT r.project_id, r.background, count(*) FROM responses r
            WHERE r.project_id IS NOT NULL AND r.status = 'queued'
            GROUP BY r.project_id, r.background;
        PERFORM set_config('antiphon.project', reach, true);
    END $$
"""
_FUNCTIONS = (_REACH, _IN_REACH, _MAY_UPKEEP, _PROTECT_LIKE, _QUEUE_SIZES)
_SIGNATURES = (
    "queue_sizes()",
    "protect_like(text, text)",
    "may_upkeep()",
    "current_reach()",
)

# In sub-selects, so that they are evaluated once per statement and not once per row.
_TENANT = ("tenant", "PUBLIC", "project_id = (SELECT current_reach())")
_MANAGEMENT = ("management", "PUBLIC", "(SELECT current_reach()) = '@'")
_UPKEEP = ("upkeep", "{upkeep}", "(SELECT current_reach()) = '*'")
_OWNERSHIP = ("ownership", "CURRENT_USER", "(SELECT current_reach()) = '*'")
_CONTENT = ("items", "event_archives", "response_metadata", "conversations", "conversation_items")
"""Tables that no upkeep reads: their owner alone sees those of all projects."""
_UPKEPT = ("responses", "webhook_deliveries", "webhook_endpoints", "idempotency_keys")
_MANAGED = ("projects", "api_keys", "audit_entries")
"""Tables that the API reads before it knows a project, and those who manage all of them."""
POLICIES = {
    **dict.fromkeys(_CONTENT, (_TENANT, _OWNERSHIP)),
    **dict.fromkeys(_UPKEPT, (_TENANT, _UPKEEP)),
    **dict.fromkeys(_MANAGED, (_TENANT, _UPKEEP, _MANAGEMENT)),
}

# The functions for months see all rows, or they would drop those of months that matter.
_BEGIN = "BEGIN"
_BEGIN_UPKEEP = """BEGIN
    PERFORM set_config('antiphon.project', '*', true);
    IF NOT may_upkeep() THEN RAISE 'the tables have a new owner: run antiphon migrate'; END IF;
"""
_CREATED = "name, reference, lower, upper);"
_CREATED_PROTECTED = f"{_CREATED}\n        PERFORM protect_like(name || '_' || label, name);"


def upgrade() -> None:
    """Apply the migration."""
    schema = op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    for statement in _FUNCTIONS:
        op.execute(statement.format(schema=schema))
    _change_function("add_month", {_BEGIN: _BEGIN_UPKEEP, _CREATED: _CREATED_PROTECTED})
    _change_function("drop_month", {_BEGIN: _BEGIN_UPKEEP})
    op.create_check_constraint("projects_id_check", "projects", "project_id NOT IN ('', '*', '@')")
    upkeep = "CURRENT_USER" + (", antiphon_maintenance" if _has_maintenance_role() else "")
    for table, policies in POLICIES.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
        for name, roles, condition in policies:
            to = roles.format(upkeep=upkeep)
            op.execute(f"CREATE POLICY {name} ON {table} TO {to} USING ({condition})")
        for partition in _partitions(table):
            op.execute(f"SELECT protect_like('{partition}', '{table}')")


def downgrade() -> None:
    """Revert the migration."""
    for table, policies in POLICIES.items():
        for each in (table, *_partitions(table)):
            op.execute(
                f"ALTER TABLE {each} NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY"
            )
            for name, *_ in policies:
                op.execute(f"DROP POLICY {name} ON {each}")
    op.drop_constraint("projects_id_check", "projects")
    _change_function("add_month", {_BEGIN_UPKEEP: _BEGIN, _CREATED_PROTECTED: _CREATED})
    _change_function("drop_month", {_BEGIN_UPKEEP: _BEGIN})
    for signature in _SIGNATURES:
        op.execute(f"DROP FUNCTION {signature}")
    op.execute("DROP DOMAIN statement_reach")


def _change_function(name: str, changes: dict[str, str]) -> None:
    """Replace parts of the source of a function, which keeps its rights."""
    query = sa.text("SELECT pg_get_functiondef(CAST(:name AS regproc))")
    source = op.get_bind().scalar(query, {"name": name})
    for before, after in changes.items():
        assert before in source, before
        source = source.replace(before, after, 1)
    op.get_bind().exec_driver_sql(source.replace("%", "%%"))


def _has_maintenance_role() -> bool:
    query = sa.text("SELECT FROM pg_roles WHERE rolname = 'antiphon_maintenance'")
    return op.get_bind().execute(query).first() is not None


def _partitions(table: str) -> list[str]:
    query = sa.text("""
        SELECT CAST(CAST(inhrelid AS regclass) AS text) FROM pg_inherits
        WHERE inhparent = CAST(:name AS regclass)
    """)
    return list(op.get_bind().scalars(query, {"name": table}))
