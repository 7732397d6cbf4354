"""Indexes with which every call costs the same however much is on record, and a count of the sends.

How long that takes with a large ledger is in docs/benchmarks.md.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_HAS_LEASE = "lease_until > 0"
_INDEXES = (
    ("sends_by_client", "sends", ["client"], None),
    ("sends_by_flow_run", "sends", ["flow_run"], None),
    ("sends_by_history_id", "sends", ["history_id"], None),
    ("sends_by_time_claimed", "sends", ["claimed_at"], None),
    ("sends_by_time_scheduled", "sends", ["scheduled_ms"], None),
    ("sends_with_lease", "sends", ["lease_until"], _HAS_LEASE),
    ("destinations_by_state", "destinations", ["state", "service"], None),
    ("destinations_by_time_scheduled", "destinations", ["service", "account_id", "scheduled_ms"], None),
    (
        "destinations_unsettled",
        "destinations",
        ["service", "account_id", "state"],
        "state IN ('ACCEPTED', 'CLAIMED', 'SENDING', 'UNCONFIRMED')",
    ),
    ("reservations_by_video", "reservations", ["service", "sha256"], None),
    ("reservations_by_run", "reservations", ["flow_run"], None),
    ("engagements_by_run", "engagements", ["run"], None),
    ("engagements_with_lease", "engagements", ["lease_until"], _HAS_LEASE),
    ("phone_requests_by_state", "phone_requests", ["state", "host"], None),
    ("phone_requests_by_time_begun", "phone_requests", ["begun_at", "host"], None),
    ("phone_requests_with_lease", "phone_requests", ["lease_until"], _HAS_LEASE),
    ("phone_tasks_by_number", "phone_tasks", ["task_id"], None),
    ("phone_tasks_by_time_changed", "phone_tasks", ["changed_at"], None),
    ("phone_tasks_unfinished", "phone_tasks", ["request_id"], "state IN ('PENDING', 'RETRYING', 'RUNNING')"),
    ("phone_actions_by_target", "phone_actions", ["account", "script", "target"], None),
)
_REPLACED = (
    ("destinations_by_state", "destinations"),
    ("phone_requests_by_state", "phone_requests"),
    ("phone_tasks_by_state", "phone_tasks"),
)
# A count that follows each row, whoever adds or deletes it: by hand, or a version of before that is still running.
_SQLITE = (
    "CREATE TRIGGER sends_added AFTER INSERT ON sends BEGIN UPDATE ledger SET send_count = send_count + 1; END",
    "CREATE TRIGGER sends_deleted AFTER DELETE ON sends BEGIN UPDATE ledger SET send_count = send_count - 1; END",
)
# pg_restore adds rows with an empty search_path, in which the function would not find the table.
_POSTGRESQL = (
    """
    CREATE FUNCTION count_sends() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
    BEGIN
        IF TG_OP = 'TRUNCATE' THEN
            UPDATE ledger SET send_count = 0;
        ELSIF TG_OP = 'INSERT' THEN
            UPDATE ledger SET send_count = send_count + (SELECT count(*) FROM changed);
        ELSE
            UPDATE ledger SET send_count = send_count - (SELECT count(*) FROM changed);
        END IF;
        RETURN NULL;
    END $$
    """,
    "CREATE TRIGGER sends_added AFTER INSERT ON sends REFERENCING NEW TABLE AS changed "
    "FOR EACH STATEMENT EXECUTE FUNCTION count_sends()",
    "CREATE TRIGGER sends_deleted AFTER DELETE ON sends REFERENCING OLD TABLE AS changed "
    "FOR EACH STATEMENT EXECUTE FUNCTION count_sends()",
    "CREATE TRIGGER sends_emptied AFTER TRUNCATE ON sends FOR EACH STATEMENT EXECUTE FUNCTION count_sends()",
)


def upgrade() -> None:
    """Create the indexes, and count the sends."""
    for name, table in _REPLACED:
        op.drop_index(name, table)
    for name, table, columns, condition in _INDEXES:
        where = None if condition is None else sa.text(condition)
        op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
    op.add_column("ledger", sa.Column("send_count", sa.Integer, nullable=False, server_default="0"))
    op.execute("UPDATE ledger SET send_count = (SELECT count(*) FROM sends)")
    for statement in _POSTGRESQL if op.get_context().dialect.name == "postgresql" else _SQLITE:
        op.execute(statement)
