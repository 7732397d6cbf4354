"""What the phones are to do for posts once they are out."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the table of engagements, and let requests for phone tasks name theirs."""
    op.create_table(
        "engagements",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("service", sa.String(200), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("caption_sha256", sa.String(64), nullable=False),
        sa.Column("scheduled_ms", sa.BigInteger, nullable=False),
        sa.Column("repeat", sa.Integer, nullable=False),
        sa.Column("accounts", sa.Text, nullable=False),
        sa.Column("form", sa.Text, nullable=False),
        sa.Column("form_sha256", sa.String(64), nullable=False),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("host", sa.String(200), nullable=False),
        sa.Column("chatgpt", sa.String(200), nullable=False),
        sa.Column("flow_run", sa.String(36)),
        sa.Column("asked_at", sa.Float, nullable=False),
        sa.Column("due", sa.Float, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("owner", sa.String(32), nullable=False),
        sa.Column("lease_until", sa.Float, nullable=False),
        sa.Column("run", sa.String(36)),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("parts", sa.Text, nullable=False),
        sa.Column("changed_at", sa.Float, nullable=False),
        sa.UniqueConstraint(
            "service", "sha256", "caption_sha256", "scheduled_ms", "repeat", "form_sha256", name="one_engagement_a_form"
        ),
    )
    op.create_index("engagements_by_state", "engagements", ["state"])
    op.add_column("phone_requests", sa.Column("engagement", sa.String(32)))
    op.create_index("phone_requests_by_engagement", "phone_requests", ["engagement"])
