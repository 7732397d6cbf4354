"""The first ledger: sends, their destinations, the audit trail, the requests of the last hour."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create everything."""
    op.create_table(
        "sends",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("service", sa.String(200), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("caption", sa.Text, nullable=False),
        sa.Column("accounts", sa.Text, nullable=False),
        sa.Column("scheduled_ms", sa.BigInteger, nullable=False),
        sa.Column("repeat", sa.Integer, nullable=False),
        sa.Column("flow_run", sa.String(36)),
        sa.Column("owner", sa.String(32), nullable=False),
        sa.Column("lease_until", sa.Float, nullable=False),
        sa.Column("claimed_at", sa.Float, nullable=False),
        sa.Column("begun_at", sa.Float),
        sa.Column("sealed_at", sa.Float),
        sa.Column("history_id", sa.String(100)),
        sa.UniqueConstraint("service", "history_id", name="one_send_owns_a_history_id"),
    )
    op.create_table(
        "destinations",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("service", sa.String(200), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("account_id", sa.String(100), nullable=False),
        sa.Column("caption_sha256", sa.String(64), nullable=False),
        sa.Column("scheduled_ms", sa.BigInteger, nullable=False),
        sa.Column("repeat", sa.Integer, nullable=False),
        sa.Column("platform", sa.String(50), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("link", sa.Text),
        sa.Column("send_id", sa.String(32), sa.ForeignKey("sends.id"), nullable=False),
        sa.Column("changed_at", sa.Float, nullable=False),
        sa.UniqueConstraint(
            "service",
            "sha256",
            "account_id",
            "caption_sha256",
            "scheduled_ms",
            "repeat",
            name="one_claim_a_destination",
        ),
    )
    op.create_index("destinations_by_state", "destinations", ["service", "state"])
    op.create_index("destinations_by_send", "destinations", ["send_id"])
    op.create_table(
        "events",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("send_id", sa.String(32), nullable=False),
        sa.Column("account_id", sa.String(100)),
        sa.Column("flow_run", sa.String(36)),
        sa.Column("owner", sa.String(32), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("words", sa.Text, nullable=False),
    )
    op.create_index("events_by_send", "events", ["send_id"])
    op.create_table(
        "requests",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("api_key", sa.String(64), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
    )
    op.create_index("requests_by_key", "requests", ["api_key", "at"])
    op.create_table(
        "api_keys",
        sa.Column("api_key", sa.String(64), primary_key=True),
        sa.Column("blocked_until", sa.Float, nullable=False),
        sa.Column("reader", sa.String(32), nullable=False),
        sa.Column("reader_until", sa.Float, nullable=False),
        sa.Column("next_look", sa.Float, nullable=False),
        sa.Column("pause", sa.Float, nullable=False),
        sa.Column("accounts", sa.Text, nullable=False),
        sa.Column("accounts_at", sa.Float, nullable=False),
    )
