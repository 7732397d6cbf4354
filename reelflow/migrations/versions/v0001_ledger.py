"""The first ledger: posts, API keys, phones."""

import time
import uuid

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create everything, and give the ledger its identity."""
    ledger = op.create_table(
        "ledger",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("lost_sends", sa.Integer, nullable=False),
        sa.Column("look_back", sa.Integer, nullable=False),
        sa.Column("moved_to", sa.Text),
        sa.Column("copy_id", sa.String(32), nullable=False),
    )
    identity = {
        "id": uuid.uuid4().hex,
        "created_at": time.time(),
        "lost_sends": 0,
        "look_back": 0,
        "copy_id": uuid.uuid4().hex,
    }
    op.bulk_insert(ledger, [identity])
    op.create_table(
        "sends",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("service", sa.String(200), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("caption", sa.Text, nullable=False),
        sa.Column("accounts", sa.Text, nullable=False),
        sa.Column("scheduled_ms", sa.BigInteger, nullable=False),
        sa.Column("flow_run", sa.String(36)),
        sa.Column("owner", sa.String(32), nullable=False),
        sa.Column("lease_until", sa.Float, nullable=False),
        sa.Column("claimed_at", sa.Float, nullable=False),
        sa.Column("begun_at", sa.Float),
        sa.Column("sealed_at", sa.Float),
        sa.Column("history_id", sa.String(200)),
        sa.Column("watched_since", sa.Float),
        sa.Column("missing_since", sa.Float),
        sa.Column("duration", sa.Float, nullable=False),
        sa.Column("pictures", sa.Text, nullable=False),
        sa.UniqueConstraint("service", "history_id", name="one_send_owns_a_history_id"),
    )
    op.create_table(
        "destinations",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("service", sa.String(200), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("account_id", sa.String(200), nullable=False),
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
    op.create_index("destinations_by_account", "destinations", ["service", "account_id", "changed_at"])
    op.create_table(
        "events",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("send_id", sa.String(32), nullable=False),
        sa.Column("account_id", sa.String(200)),
        sa.Column("flow_run", sa.String(36)),
        sa.Column("owner", sa.String(32), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_index("events_by_send", "events", ["send_id"])
    op.create_table(
        "alarms",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("key", sa.Text, nullable=False, unique=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column("flow_run", sa.String(36)),
        sa.Column("ref", sa.Text, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("claimed_until", sa.Float, nullable=False),
        sa.Column("told_at", sa.Float),
    )
    op.create_index("alarms_by_time_told", "alarms", ["told_at"])
    op.create_index("alarms_by_run", "alarms", ["flow_run"])
    op.create_table(
        "api_requests",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("api_key", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_index("api_requests_by_key", "api_requests", ["api_key", "at"])
    op.create_table(
        "api_waiting",
        sa.Column("place", sa.Integer, primary_key=True),
        sa.Column("waiter", sa.String(32), nullable=False, unique=True),
        sa.Column("api_key", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("alive_until", sa.Float, nullable=False),
    )
    op.create_table(
        "api_keys",
        sa.Column("api_key", sa.String(64), primary_key=True),
        sa.Column("blocked_until", sa.Float, nullable=False),
        sa.Column("blocked_at", sa.Float, nullable=False),
        sa.Column("reader", sa.String(32), nullable=False),
        sa.Column("reader_until", sa.Float, nullable=False),
        sa.Column("next_look", sa.Float, nullable=False),
        sa.Column("pause", sa.Float, nullable=False),
        sa.Column("accounts", sa.Text, nullable=False),
        sa.Column("accounts_at", sa.Float, nullable=False),
        sa.Column("copies", sa.Text, nullable=False),
        sa.Column("copies_at", sa.Float, nullable=False),
        sa.Column("looked_back", sa.Integer, nullable=False),
    )
    op.create_table(
        "found_posts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("service", sa.String(200), nullable=False),
        sa.Column("history_id", sa.String(200)),
        sa.Column("caption", sa.Text, nullable=False),
        sa.Column("accounts", sa.Text, nullable=False),
        sa.Column("platforms", sa.Text, nullable=False),
        sa.Column("at", sa.Float),
        sa.Column("found_at", sa.Float, nullable=False),
        sa.UniqueConstraint("service", "history_id", name="one_row_a_found_post"),
    )
    op.create_table(
        "phone_requests",
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
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("left_open", sa.Integer, nullable=False),
        sa.Column("planned_at", sa.Float, nullable=False),
        sa.Column("begun_at", sa.Float),
        sa.Column("highest_before", sa.BigInteger),
    )
    op.create_index("phone_requests_by_state", "phone_requests", ["host", "state"])
    op.create_index("phone_requests_by_run", "phone_requests", ["flow_run"])
    op.create_table(
        "phone_tasks",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("request_id", sa.String(32), sa.ForeignKey("phone_requests.id"), nullable=False),
        sa.Column("task_id", sa.BigInteger, nullable=False),
        sa.Column("serial", sa.String(200), nullable=False),
        sa.Column("username", sa.String(200), nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("remark", sa.Text, nullable=False),
        sa.Column("retried_by_tikmatrix", sa.Integer, nullable=False),
        sa.Column("retried_by_us", sa.Integer, nullable=False),
        sa.Column("started", sa.String(40), nullable=False),
        sa.Column("ended", sa.String(40), nullable=False),
        sa.Column("failed_at", sa.Float),
        sa.Column("changed_at", sa.Float, nullable=False),
        sa.UniqueConstraint("request_id", "task_id", name="one_row_a_phone_task"),
    )
    op.create_index("phone_tasks_by_state", "phone_tasks", ["state"])
    op.create_table(
        "phone_actions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("request_id", sa.String(32), sa.ForeignKey("phone_requests.id"), nullable=False),
        sa.Column("account", sa.String(250), nullable=False),
        sa.Column("actor", sa.String(250), nullable=False),
        sa.Column("script", sa.String(50), nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("target_sent", sa.Text, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_index("phone_actions_by_account", "phone_actions", ["account", "script", "at"])
    op.create_index("phone_actions_by_request", "phone_actions", ["request_id"])
    op.create_table(
        "phone_hosts",
        sa.Column("host", sa.String(200), primary_key=True),
        sa.Column("turn_of", sa.String(32), nullable=False),
        sa.Column("turn_until", sa.Float, nullable=False),
    )
