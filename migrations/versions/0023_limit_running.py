"""Add what claims need to keep the limit of a project's running responses.

Revision ID: 0023
Revises: 0022
"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

# Claims of one project wait here for each other, until each is committed. The count is a statement
# of its own, so it sees what the others have claimed meanwhile. If there is no place, the lock goes
# with all that the block has done: a claim that waits for one project holds the lock of no other.
_TAKE_PLACE = """
    CREATE FUNCTION take_place(project text, places bigint) RETURNS boolean
    LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock(hashtextextended('antiphon places of ' || project, 0));
        IF (SELECT count(*) FROM responses r
            WHERE r.project_id = project AND r.status = 'in_progress') >= places THEN
            RAISE SQLSTATE 'AP001';
        END IF;
        RETURN true;
    EXCEPTION WHEN SQLSTATE 'AP001' THEN
        RETURN false;
    END $$
"""


def upgrade() -> None:
    """Apply the migration."""
    # The value itself stays among the limits, as JSON, which claims would have to parse.
    op.add_column(
        "projects",
        sa.Column(
            "max_running",
            sa.BigInteger,
            sa.Computed("CAST(limits ->> 'max_running' AS bigint)", persisted=True),
        ),
    )
    op.create_index(
        "projects_limited",
        "projects",
        ["project_id", "max_running"],
        postgresql_where=sa.text("max_running IS NOT NULL"),
    )
    op.execute(_TAKE_PLACE)


def downgrade() -> None:
    """Revert the migration."""
    op.execute("DROP FUNCTION take_place(text, bigint)")
    op.drop_index("projects_limited", "projects")
    op.drop_column("projects", "max_running")
