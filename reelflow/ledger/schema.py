"""The ledger's tables. Changes need a migration (reelflow/migrations); a test compares the two."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()
_S, _T, _F = sa.String, sa.Text, sa.Float
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
    sa.Column("repeat", sa.Integer, nullable=False),
    sa.Column("flow_run", _S(36)),
    sa.Column("owner", _S(32), nullable=False),
    sa.Column("lease_until", _F, nullable=False),
    sa.Column("claimed_at", _F, nullable=False),
    sa.Column("begun_at", _F),
    sa.Column("sealed_at", _F),
    sa.Column("history_id", _S(100)),
    sa.UniqueConstraint("service", "history_id", name="one_send_owns_a_history_id"),
)
KEY = ("service", "sha256", "account_id", "caption_sha256", "scheduled_ms", "repeat")
destinations = sa.Table(
    "destinations",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("service", _S(200), nullable=False),
    sa.Column("sha256", _S(64), nullable=False),
    sa.Column("account_id", _S(100), nullable=False),
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
    sa.Index("destinations_by_state", "service", "state"),
    sa.Index("destinations_by_send", "send_id"),
)
events = sa.Table(
    "events",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", _F, nullable=False),
    sa.Column("send_id", _S(32), nullable=False),
    sa.Column("account_id", _S(100)),
    sa.Column("flow_run", _S(36)),
    sa.Column("owner", _S(32), nullable=False),
    sa.Column("state", _S(20), nullable=False),
    sa.Column("words", _T, nullable=False),
    sa.Index("events_by_send", "send_id"),
)
requests = sa.Table(
    "requests",
    metadata,
    sa.Column("id", _S(32), primary_key=True),
    sa.Column("api_key", _S(64), nullable=False),
    sa.Column("at", _F, nullable=False),
    sa.Column("kind", _S(10), nullable=False),
    sa.Index("requests_by_key", "api_key", "at"),
)
api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("api_key", _S(64), primary_key=True),
    sa.Column("blocked_until", _F, nullable=False),
    sa.Column("reader", _S(32), nullable=False),
    sa.Column("reader_until", _F, nullable=False),
    sa.Column("next_look", _F, nullable=False),
    sa.Column("pause", _F, nullable=False),
    sa.Column("accounts", _T, nullable=False),
    sa.Column("accounts_at", _F, nullable=False),
)
