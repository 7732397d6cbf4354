"""Slots that are kept for the posts of campaigns, and accounts on hold."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the tables of reservations and of accounts on hold."""
    op.create_table(
        "reservations",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("service", sa.String(200), nullable=False),
        sa.Column("campaign", sa.String(200), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("account_id", sa.String(200), nullable=False),
        sa.Column("caption_sha256", sa.String(64), nullable=False),
        sa.Column("repeat", sa.Integer, nullable=False),
        sa.Column("platform", sa.String(50), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("flow_run", sa.String(36)),
        sa.Column("made_at", sa.Float, nullable=False),
        sa.UniqueConstraint(
            "service", "campaign", "sha256", "account_id", "caption_sha256", "repeat", name="one_slot_a_post"
        ),
    )
    op.create_index("reservations_by_account", "reservations", ["service", "account_id", "at"])
    op.create_table(
        "holds",
        sa.Column("service", sa.String(200), primary_key=True),
        sa.Column("account_id", sa.String(200), primary_key=True),
        sa.Column("platform", sa.String(50), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("held_at", sa.Float),
        sa.Column("released_at", sa.Float),
    )
