"""Create conversations and their items; index all items by id.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def _project() -> sa.Column[str]:
    return sa.Column("project_id", sa.Text, sa.ForeignKey("projects.project_id"), nullable=False)


def upgrade() -> None:
    """Apply the migration."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "conversations",
        sa.Column("id", sa.Uuid, primary_key=True),
        _project(),
        sa.Column("metadata", sa.JSON, nullable=False, server_default=sa.text("'{}'")),
        sa.Column("running_id", sa.Uuid),
        sa.Column("next_position", sa.Integer, nullable=False, server_default="0"),
        sa.Column("created_at", moment, nullable=False, server_default=sa.text("now()")),
    )
    owner = sa.ForeignKey("conversations.id", ondelete="CASCADE")
    op.create_table(
        "conversation_items",
        sa.Column("conversation_id", sa.Uuid, owner, primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        _project(),
        sa.Column("item_id", sa.Text, nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        sa.UniqueConstraint("conversation_id", "item_id"),
    )
    op.create_index("conversation_items_by_id", "conversation_items", ["project_id", "item_id"])
    op.create_index("items_by_id", "items", ["project_id", sa.text("(body ->> 'id')")])
    op.add_column("responses", sa.Column("conversation_id", sa.Uuid))


def downgrade() -> None:
    """Revert the migration."""
    op.drop_column("responses", "conversation_id")
    op.drop_index("items_by_id", "items")
    op.drop_table("conversation_items")
    op.drop_table("conversations")
