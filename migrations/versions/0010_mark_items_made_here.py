"""Mark the items of conversations whose ids were made here, not given by clients.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# Appended by a response: the id names a response of that conversation. Added without an id: the
# form of the id shows it, as far as that is known of rows before this migration.
_MARK = """
    UPDATE conversation_items i SET made_here = true
    WHERE i.item_id ~ '^[a-z]+_[0-9a-f]{32}$' OR (
        i.item_id ~ '^[a-z]+_[0-9a-f]{32}_(in|c[0-9]+_)?[0-9]+$' AND EXISTS (
            SELECT FROM responses r
            WHERE r.project_id = i.project_id AND r.conversation_id = i.conversation_id
              AND r.id = CAST(substring(i.item_id FROM '_([0-9a-f]{32})') AS uuid)))
"""


def upgrade() -> None:
    """Apply the migration."""
    op.add_column(
        "conversation_items",
        sa.Column("made_here", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    op.execute(_MARK)


def downgrade() -> None:
    """Revert the migration."""
    op.drop_column("conversation_items", "made_here")
