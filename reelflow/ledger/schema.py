"""The ledger's tables. Changes need a migration (reelflow/migrations); a test compares the two."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from reelflow.records.duplicates import UNSETTLED
from reelflow.records.phone_states import UNFINISHED

metadata = sa.MetaData()
_S, _T, _F = sa.String, sa.Text, sa.Float


def _is_one_of(column: sa.Column[str], values: Iterable[str]) -> sa.ColumnElement[bool]:
    """With the values in the statement: for one with parameters, SQLite uses no index that has a condition."""
    return column.in_([sa.literal_column(f"'{value}'") for value in sorted(values)])


def has_lease(lease: sa.ColumnElement[float]) -> sa.ColumnElement[bool]:
    """Whether a lease was not ended. The indexes of leases have these only: of a million sends, a few."""
    return lease > sa.literal_column("0")


def _index_where(name: str, *columns: sa.Column[Any], condition: sa.ColumnElement[bool]) -> None:
    """An index of the few rows that a condition holds for: the others cost nothing when they are written."""
    sa.Index(name, *columns, sqlite_where=condition, postgresql_where=condition)


ledger = sa.Table(
    "ledger",  # one row, made with the tables
    metadata,
    sa.Column("id", _S(32), primary_key=True),
    sa.Column("created_at", _F, nullable=False),
    sa.Column("lost_sends", sa.Integer, nullable=False),
    sa.Column("look_back", sa.Integer, nullable=False),
    sa.Column("moved_to", _T),
    sa.Column("copy_id", _S(32), nullable=False),
    # How many rows `sends` has; kept by the database itself, with triggers (migration 0007).
    sa.Column("send_count", sa.Integer, nullable=False, server_default="0"),
)
sends = sa.Table(
    "sends",
    metadata,
    sa.Column("id", _S(32), primary_key=True),
    sa.Column("service", _S(200), nullable=False),
    sa.Column("sha256", _S(64), nullable=False),
    sa.Column("file", _T, nullable=False),
    sa.Column("caption", _T, nullable=False),
    sa.Column("accounts", _T, nullable=False),
    sa.Column("scheduled_ms", sa.BigInteger, nullable=False),
    sa.Column("flow_run", _S(36)),
    sa.Column("owner", _S(32), nullable=False),
    sa.Column("lease_until", _F, nullable=False),
    sa.Column("claimed_at", _F, nullable=False),
    sa.Column("begun_at", _F),
    sa.Column("sealed_at", _F),
    sa.Column("history_id", _S(200)),
    sa.Column("watched_since", _F),
    sa.Column("missing_since", _F),
    sa.Column("duration", _F, nullable=False),
    sa.Column("pictures", _T, nullable=False),
    sa.Column("client", _S(200), nullable=False, server_default=""),
    sa.UniqueConstraint("service", "history_id", name="one_send_owns_a_history_id"),
    sa.Index("sends_by_client", "client"),
    sa.Index("sends_by_flow_run", "flow_run"),
    sa.Index("sends_by_history_id", "history_id"),
    sa.Index("sends_by_time_claimed", "claimed_at"),
    sa.Index("sends_by_time_scheduled", "scheduled_ms"),
)
_index_where("sends_with_lease", sends.c.lease_until, condition=has_lease(sends.c.lease_until))
KEY = ("service", "sha256", "account_id", "caption_sha256", "scheduled_ms", "repeat")
destinations = sa.Table(
    "destinations",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("service", _S(200), nullable=False),
    sa.Column("sha256", _S(64), nullable=False),
    sa.Column("account_id", _S(200), nullable=False),
    sa.Column("caption_sha256", _S(64), nullable=False),
    sa.Column("scheduled_ms", sa.BigInteger, nullable=False),
    sa.Column("repeat", sa.Integer, nullable=False),
    sa.Column("platform", _S(50), nullable=False),
    sa.Column("name", _T, nullable=False),
    sa.Column("state", _S(20), nullable=False),
    sa.Column("detail", _T, nullable=False),
    sa.Column("link", _T),
    sa.Column("send_id", _S(32), sa.ForeignKey("sends.id"), nullable=False),
    sa.Column("changed_at", _F, nullable=False),
    sa.UniqueConstraint(*KEY, name="one_claim_a_destination"),
    sa.Index("destinations_by_state", "state", "service"),
    sa.Index("destinations_by_send", "send_id"),
    sa.Index("destinations_by_account", "service", "account_id", "changed_at"),
    sa.Index("destinations_by_time_scheduled", "service", "account_id", "scheduled_ms"),
)
IS_UNSETTLED = _is_one_of(destinations.c.state, UNSETTLED)
"""Whether it is not known of a destination if it is out."""
_index_where(
    "destinations_unsettled",
    destinations.c.service,
    destinations.c.account_id,
    destinations.c.state,  # so that SQLite, which knows no numbers of rows, takes it rather than the one by account
    condition=IS_UNSETTLED,
)
events = sa.Table(
    "events",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", _F, nullable=False),
    sa.Column("send_id", _S(32), nullable=False),
    sa.Column("account_id", _S(200)),
    sa.Column("flow_run", _S(36)),
    sa.Column("owner", _S(32), nullable=False),
    sa.Column("state", _S(20), nullable=False),
    sa.Column("reason", _T, nullable=False),
    sa.Index("events_by_send", "send_id"),
)
alarms = sa.Table(
    "alarms",  # what went wrong, until people were told, and after
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", _T, nullable=False, unique=True),
    sa.Column("kind", _S(20), nullable=False),
    sa.Column("state", _S(20), nullable=False),
    sa.Column("subject", _T, nullable=False),
    sa.Column("who", _T, nullable=False),
    sa.Column("reason", _T, nullable=False),
    sa.Column("cause", _T, nullable=False),
    sa.Column("flow_run", _S(36)),
    sa.Column("ref", _T, nullable=False),
    sa.Column("at", _F, nullable=False),
    sa.Column("claimed_until", _F, nullable=False),
    sa.Column("told_at", _F),
    sa.Index("alarms_by_time_told", "told_at"),
    sa.Index("alarms_by_run", "flow_run"),
)
api_requests = sa.Table(
    "api_requests",
    metadata,
    sa.Column("id", _S(32), primary_key=True),
    sa.Column("api_key", _S(64), nullable=False),
    sa.Column("kind", _S(10), nullable=False),
    sa.Column("at", _F, nullable=False),
    sa.Index("api_requests_by_key", "api_key", "at"),
)
api_waiting = sa.Table(
    "api_waiting",
    metadata,
    sa.Column("place", sa.Integer, primary_key=True),
    sa.Column("waiter", _S(32), nullable=False, unique=True),
    sa.Column("api_key", _S(64), nullable=False),
    sa.Column("kind", _S(10), nullable=False),
    sa.Column("alive_until", _F, nullable=False),
)
api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("api_key", _S(64), primary_key=True),
    sa.Column("blocked_until", _F, nullable=False),
    sa.Column("blocked_at", _F, nullable=False),
    sa.Column("reader", _S(32), nullable=False),
    sa.Column("reader_until", _F, nullable=False),
    sa.Column("next_look", _F, nullable=False),
    sa.Column("pause", _F, nullable=False),
    sa.Column("accounts", _T, nullable=False),
    sa.Column("accounts_at", _F, nullable=False),
    sa.Column("copies", _T, nullable=False),
    sa.Column("copies_at", _F, nullable=False),
    sa.Column("looked_back", sa.Integer, nullable=False),
    sa.Column("rotating", _S(32), nullable=False, server_default=""),
    sa.Column("rotating_until", _F, nullable=False, server_default="0"),
    sa.Column("replaced_by", _S(64), nullable=False, server_default=""),
)
found_posts = sa.Table(
    "found_posts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("service", _S(200), nullable=False),
    sa.Column("history_id", _S(200)),
    sa.Column("caption", _T, nullable=False),
    sa.Column("accounts", _T, nullable=False),
    sa.Column("platforms", _T, nullable=False),
    sa.Column("at", _F),
    sa.Column("found_at", _F, nullable=False),
    sa.UniqueConstraint("service", "history_id", name="one_row_a_found_post"),
)
RESERVED = ("service", "campaign", "sha256", "account_id", "caption_sha256", "repeat")
reservations = sa.Table(
    "reservations",  # slots that are kept for posts of campaigns
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("service", _S(200), nullable=False),
    sa.Column("campaign", _S(200), nullable=False),
    sa.Column("sha256", _S(64), nullable=False),
    sa.Column("account_id", _S(200), nullable=False),
    sa.Column("caption_sha256", _S(64), nullable=False),
    sa.Column("repeat", sa.Integer, nullable=False),
    sa.Column("platform", _S(50), nullable=False),
    sa.Column("name", _T, nullable=False),
    sa.Column("file", _T, nullable=False),
    sa.Column("at", _F, nullable=False),
    sa.Column("flow_run", _S(36)),
    sa.Column("made_at", _F, nullable=False),
    sa.UniqueConstraint(*RESERVED, name="one_slot_a_post"),
    sa.Index("reservations_by_account", "service", "account_id", "at"),
    sa.Index("reservations_by_video", "service", "sha256"),
    sa.Index("reservations_by_run", "flow_run"),
)
approvals = sa.Table(
    "approvals",  # what people were asked, and what they decided
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("flow_run", _S(36), nullable=False),
    sa.Column("digest", _S(64), nullable=False),
    sa.Column("question", sa.Integer, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("until", _F, nullable=False),
    sa.Column("answer", _S(20), nullable=False),
    sa.Column("caption", _T),
    sa.Column("asked_at", _F, nullable=False),
    sa.Column("answered_at", _F),
    sa.UniqueConstraint("flow_run", "digest", name="one_answer_a_post"),
    sa.Index("approvals_by_answer", "answer", "until"),
)
holds = sa.Table(
    "holds",  # how many posts of an account failed in a row, and whether it is on hold for that
    metadata,
    sa.Column("service", _S(200), primary_key=True),
    sa.Column("account_id", _S(200), primary_key=True),
    sa.Column("platform", _S(50), nullable=False),
    sa.Column("name", _T, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("since", _F, nullable=False),
    sa.Column("reason", _T, nullable=False),
    sa.Column("held_at", _F),
    sa.Column("released_at", _F),
)
ENGAGED = ("service", "sha256", "caption_sha256", "scheduled_ms", "repeat")
engagements = sa.Table(
    "engagements",  # what the phones are to do for posts once they are out
    metadata,
    sa.Column("id", _S(32), primary_key=True),
    sa.Column("service", _S(200), nullable=False),
    sa.Column("sha256", _S(64), nullable=False),
    sa.Column("caption_sha256", _S(64), nullable=False),
    sa.Column("scheduled_ms", sa.BigInteger, nullable=False),
    sa.Column("repeat", sa.Integer, nullable=False),
    sa.Column("accounts", _T, nullable=False),
    sa.Column("form", _T, nullable=False),
    sa.Column("form_sha256", _S(64), nullable=False),
    sa.Column("file", _T, nullable=False),
    sa.Column("host", _S(200), nullable=False),
    sa.Column("chatgpt", _S(200), nullable=False),
    sa.Column("flow_run", _S(36)),
    sa.Column("asked_at", _F, nullable=False),
    sa.Column("due", _F, nullable=False),
    sa.Column("state", _S(20), nullable=False),
    sa.Column("reason", _T, nullable=False),
    sa.Column("owner", _S(32), nullable=False),
    sa.Column("lease_until", _F, nullable=False),
    sa.Column("run", _S(36)),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("parts", _T, nullable=False),
    sa.Column("changed_at", _F, nullable=False),
    sa.UniqueConstraint(*ENGAGED, "form_sha256", name="one_engagement_a_form"),
    sa.Index("engagements_by_state", "state"),
    sa.Index("engagements_by_run", "run"),
)
_index_where("engagements_with_lease", engagements.c.lease_until, condition=has_lease(engagements.c.lease_until))
phone_requests = sa.Table(
    "phone_requests",
    metadata,
    sa.Column("id", _S(32), primary_key=True),
    sa.Column("host", _S(200), nullable=False),
    sa.Column("script", _S(50), nullable=False),
    sa.Column("platform", _S(20), nullable=False),
    sa.Column("config", _T, nullable=False),
    sa.Column("serials", _T, nullable=False),
    sa.Column("usernames", _T, nullable=False),
    sa.Column("targets", _T, nullable=False),
    sa.Column("start_at", _S(5), nullable=False),
    sa.Column("expected", sa.Integer, nullable=False),
    sa.Column("flow_run", _S(36)),
    sa.Column("owner", _S(32), nullable=False),
    sa.Column("lease_until", _F, nullable=False),
    sa.Column("state", _S(20), nullable=False),
    sa.Column("reason", _T, nullable=False),
    sa.Column("left_open", sa.Integer, nullable=False),
    sa.Column("planned_at", _F, nullable=False),
    sa.Column("begun_at", _F),
    sa.Column("highest_before", sa.BigInteger),
    sa.Column("engagement", _S(32)),
    sa.Index("phone_requests_by_state", "state", "host"),
    sa.Index("phone_requests_by_run", "flow_run"),
    sa.Index("phone_requests_by_engagement", "engagement"),
    sa.Index("phone_requests_by_time_begun", "begun_at", "host"),
)
_lease = phone_requests.c.lease_until
_index_where("phone_requests_with_lease", _lease, condition=has_lease(_lease))
phone_tasks = sa.Table(
    "phone_tasks",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("request_id", _S(32), sa.ForeignKey("phone_requests.id"), nullable=False),
    sa.Column("task_id", sa.BigInteger, nullable=False),
    sa.Column("serial", _S(200), nullable=False),
    sa.Column("username", _S(200), nullable=False),
    sa.Column("target", _T, nullable=False),
    sa.Column("state", _S(20), nullable=False),
    sa.Column("remark", _T, nullable=False),
    sa.Column("retried_by_tikmatrix", sa.Integer, nullable=False),
    sa.Column("retried_by_us", sa.Integer, nullable=False),
    sa.Column("started", _S(40), nullable=False),
    sa.Column("ended", _S(40), nullable=False),
    sa.Column("failed_at", _F),
    sa.Column("changed_at", _F, nullable=False),
    sa.UniqueConstraint("request_id", "task_id", name="one_row_a_phone_task"),
    sa.Index("phone_tasks_by_number", "task_id"),
    sa.Index("phone_tasks_by_time_changed", "changed_at"),
)
IS_UNFINISHED = _is_one_of(phone_tasks.c.state, UNFINISHED)
"""Whether a phone task has not ended."""
_index_where("phone_tasks_unfinished", phone_tasks.c.request_id, condition=IS_UNFINISHED)
phone_actions = sa.Table(
    "phone_actions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("request_id", _S(32), sa.ForeignKey("phone_requests.id"), nullable=False),
    sa.Column("account", _S(250), nullable=False),
    sa.Column("actor", _S(250), nullable=False),
    sa.Column("script", _S(50), nullable=False),
    sa.Column("target", _T, nullable=False),
    sa.Column("target_sent", _T, nullable=False),
    sa.Column("at", _F, nullable=False),
    sa.Index("phone_actions_by_account", "account", "script", "at"),
    sa.Index("phone_actions_by_target", "account", "script", "target"),
    sa.Index("phone_actions_by_request", "request_id"),
)
phone_hosts = sa.Table(
    "phone_hosts",
    metadata,
    sa.Column("host", _S(200), primary_key=True),
    sa.Column("turn_of", _S(32), nullable=False),
    sa.Column("turn_until", _F, nullable=False),
)
