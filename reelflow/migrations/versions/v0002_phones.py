"""The phones: requests to TikMatrix, the tasks they made, and what each account has done."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "phone_batches",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("host", sa.String(200), nullable=False),
        sa.Column("script", sa.String(50), nullable=False),
        sa.Column("platform", sa.String(20), nullable=False),
        sa.Column("config", sa.Text, nullable=False),
        sa.Column("serials", sa.Text, nullable=False),
        sa.Column("usernames", sa.Text, nullable=False),
        sa.Column("targets", sa.Text, nullable=False),
        sa.Column("start_at", sa.String(5), nullable=False),
        sa.Column("expected", sa.Integer, nullable=False),
        sa.Column("flow_run", sa.String(36)),
        sa.Column("owner", sa.String(32), nullable=False),
        sa.Column("lease_until", sa.Float, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("words", sa.Text, nullable=False),
        sa.Column("left_open", sa.Integer, nullable=False),
        sa.Column("planned_at", sa.Float, nullable=False),
        sa.Column("begun_at", sa.Float),
        sa.Column("highest_before", sa.BigInteger),
    )
    op.create_index("phone_batches_by_state", "phone_batches", ["host", "state"])
    op.create_index("phone_batches_by_run", "phone_batches", ["flow_run"])
    op.create_table(
        "phone_tasks",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("batch_id", sa.String(32), sa.ForeignKey("phone_batches.id"), nullable=False),
        sa.Column("task_id", sa.BigInteger, nullable=False),
        sa.Column("serial", sa.String(200), nullable=False),
        sa.Column("username", sa.String(200), nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("remark", sa.Text, nullable=False),
        sa.Column("repeated_by_tikmatrix", sa.Integer, nullable=False),
        sa.Column("repeated_by_us", sa.Integer, nullable=False),
        sa.Column("started", sa.String(40), nullable=False),
        sa.Column("ended", sa.String(40), nullable=False),
        sa.Column("failed_at", sa.Float),
        sa.Column("changed_at", sa.Float, nullable=False),
        sa.UniqueConstraint("batch_id", "task_id", name="one_row_a_phone_task"),
    )
    op.create_index("phone_tasks_by_state", "phone_tasks", ["state"])
    op.create_table(
        "phone_actions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("batch_id", sa.String(32), sa.ForeignKey("phone_batches.id"), nullable=False),
        sa.Column("account", sa.String(250), nullable=False),
        sa.Column("worker", sa.String(250), nullable=False),
        sa.Column("script", sa.String(50), nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("target_sent", sa.Text, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_index("phone_actions_by_account", "phone_actions", ["account", "script", "at"])
    op.create_index("phone_actions_by_batch", "phone_actions", ["batch_id"])
    op.create_table(
        "phone_hosts",
        sa.Column("host", sa.String(200), primary_key=True),
        sa.Column("turn_of", sa.String(32), nullable=False),
        sa.Column("turn_until", sa.Float, nullable=False),
    )
