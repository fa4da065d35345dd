"""Add functions that create and drop the partitions of a month.

They run with the rights of their owner, so that the maintenance process needs no others.

Revision ID: 0012
Revises: 0011
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_OPTIONS = """
    LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '500ms'
    SET search_path = {schema}, pg_temp
"""

# The parent comes first: its partition is what those of the other tables refer to.
_TABLES = """
        SELECT c.relname FROM pg_class c
        WHERE c.relkind = 'p' AND c.relnamespace = '{schema}'::regnamespace
        ORDER BY c.relname <> 'responses' {order}, c.relname
"""

_CHECK = """
    IF label !~ '^[0-9]{{4}}_[0-9]{{2}}$' THEN RAISE 'not a month: %', label; END IF;
    IF NOT pg_try_advisory_xact_lock(7391543) THEN RETURN false; END IF;
"""

_ADD = f"""
    CREATE FUNCTION add_month(label text, lower uuid, upper uuid) RETURNS boolean {_OPTIONS} AS $$
DECLARE
    name text;
    is_taken boolean;
    reference text := '';
BEGIN {_CHECK}
    SELECT EXISTS (SELECT FROM responses_default WHERE id >= lower AND id < upper) INTO is_taken;
    IF is_taken THEN RETURN false; END IF;
    FOR name IN {_TABLES} LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF %I %s FOR VALUES FROM (%L) TO (%L)',
                       name || '_' || label, name, reference, lower, upper);
        reference := format('(FOREIGN KEY (response_id) REFERENCES %I ON DELETE CASCADE)',
                            'responses_' || label);
    END LOOP;
    RETURN true;
END $$
"""

# Redis has expired all data of a response two hours after its end.
_DROP = f"""
    CREATE FUNCTION drop_month(label text) RETURNS boolean {_OPTIONS} AS $$
DECLARE
    name text;
    is_unsettled boolean;
BEGIN {_CHECK}
    EXECUTE format('LOCK TABLE %I IN SHARE MODE', 'responses_' || label);
    EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE finished_at IS NULL'
                   ' OR finished_at > now() - interval ''2 hours'')', 'responses_' || label)
    INTO is_unsettled;
    IF is_unsettled THEN RETURN false; END IF;
    FOR name IN {_TABLES} LOOP
        EXECUTE format('DROP TABLE %I', name || '_' || label);
    END LOOP;
    RETURN true;
END $$
"""

_SIGNATURES = ("add_month(text, uuid, uuid)", "drop_month(text)")


def upgrade() -> None:
    """Apply the migration."""
    schema = op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    for statement, order in ((_ADD, ""), (_DROP, "DESC")):
        op.execute(statement.format(schema=schema, order=order))
    for signature in _SIGNATURES:
        op.execute(f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC")


def downgrade() -> None:
    """Revert the migration."""
    for signature in _SIGNATURES:
        op.execute(f"DROP FUNCTION {signature}")
