"""What people were asked to approve, and what they decided."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the table of approvals."""
    op.create_table(
        "approvals",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("flow_run", sa.String(36), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("question", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("until", sa.Float, nullable=False),
        sa.Column("answer", sa.String(20), nullable=False),
        sa.Column("caption", sa.Text),
        sa.Column("asked_at", sa.Float, nullable=False),
        sa.Column("answered_at", sa.Float),
        sa.UniqueConstraint("flow_run", "digest", name="one_answer_a_post"),
    )
    op.create_index("approvals_by_answer", "approvals", ["answer", "until"])
