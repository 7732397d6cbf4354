"""The rows of posts in the ledger, to and from records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping

from reelflow.ledger.schema import KEY, destinations, sends
from reelflow.records.campaigns import caption_fingerprint
from reelflow.records.post_states import PostState
from reelflow.records.posts import Account, Outcome, PostRequest, Send

WITH_SENDS = sa.select(destinations, *(column.label(f"send__{column.name}") for column in sends.c)).join(
    sends, sends.c.id == destinations.c.send_id
)
"""Destinations with their sends, whose columns begin with ``send__``. Built once: building costs more than asking."""


def send_of(row: RowMapping) -> Send:
    """The send in a row of `WITH_SENDS`."""
    fields = ("id", "service", "sha256", "file", "caption", "scheduled_ms", "flow_run", "owner",
              "lease_until", "begun_at", "sealed_at", "history_id", "watched_since", "missing_since", "claimed_at",
              "duration", "client")  # fmt: skip
    return Send(
        account_ids=tuple(json.loads(row["send__accounts"])),
        repeat=row["repeat"],
        pictures=tuple(json.loads(row["send__pictures"])),
        **{f: row[f"send__{f}"] for f in fields},
    )


def outcome_of(row: RowMapping) -> Outcome:
    """The outcome in a row of destinations."""
    account = Account(id=row["account_id"], platform=row["platform"], name=row["name"])
    return Outcome(account=account, state=PostState(row["state"]), detail=row["detail"], link=row["link"])


def send_row(
    send_id: str,
    request: PostRequest,
    service: str,
    owner: str,
    flow_run: str | None,
    *,
    now: float,
    lease_until: float,
    client: str = "",
) -> dict[str, Any]:
    """The row of a new send."""
    return {
        "id": send_id,
        "service": service,
        "sha256": request.video.sha256,
        "file": str(request.video.source),
        "caption": request.caption,
        "accounts": "[]",
        "scheduled_ms": request.scheduled_ms,
        "flow_run": flow_run,
        "owner": owner,
        "lease_until": lease_until,
        "claimed_at": now,
        "duration": request.video.duration,
        "pictures": json.dumps(request.video.pictures),
        "client": client,
    }


def post_key(row: Mapping[str, Any]) -> dict[str, Any]:
    """What tells the post of a destination's row from others; not its account."""
    return {name: row[name] for name in KEY if name != "account_id"}


def destination_row(send_id: str, request: PostRequest, account: Account, service: str, now: float) -> dict[str, Any]:
    """The row of a destination that is claimed now."""
    return {
        "service": service,
        "sha256": request.video.sha256,
        "account_id": account.id,
        "caption_sha256": caption_fingerprint(request.caption),
        "scheduled_ms": request.scheduled_ms,
        "repeat": request.repeat,
        "platform": account.platform,
        "name": account.name,
        "state": PostState.CLAIMED,
        "detail": "",
        "send_id": send_id,
        "changed_at": now,
    }
