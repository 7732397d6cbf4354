"""The statements that every send needs, built once: SQLAlchemy takes longer to build one than SQLite to run it.

Their parameters are named after what they mean; one that is a column's name sets that column.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from reelflow.ledger.database import MOVED_TO
from reelflow.ledger.post_rows import WITH_SENDS
from reelflow.ledger.schema import IS_UNSETTLED, KEY, destinations, events, sends
from reelflow.records.duplicates import SAME_LENGTH

_D, _S = destinations.c, sends.c
_ACCOUNTS = _D.account_id.in_(bindparam("accounts", expanding=True))
_LENGTH = bindparam("length", type_=sa.Float)
_MOVED_TO = MOVED_TO.scalar_subquery()

NEW_SEND = sends.insert()
"""Add a send."""
CHANGE_SEND = sends.update().where(_S.id == bindparam("send"))
"""Set columns of a send."""
CHANGE_OWN_SEND = CHANGE_SEND.where(_S.owner == bindparam("holder"), _S.history_id.is_(None))
"""The same, if the send is still its holder's and Taisly has given no id for it."""

_NUMBER = sa.select(sa.func.count()).where(
    _D.send_id == bindparam("send"), _D.state.in_(bindparam("states", expanding=True))
)
NUMBER_IN_STATES = sa.select(_NUMBER.scalar_subquery().label("number"), _S.accounts).where(_S.id == bindparam("send"))
"""How many destinations of a send are in some states, and the ids of all its accounts."""

MOVE = (
    destinations.update()
    .where(_D.send_id == bindparam("send"), _D.state.in_(bindparam("before", expanding=True)))
    .values(state=bindparam("after"), detail=bindparam("why"), changed_at=bindparam("now"))
    .returning(destinations)
)
"""Move those destinations of a send to a state that are in one of others; their rows."""

MOVE_ONE = (
    destinations.update()
    .where(
        _D.send_id == bindparam("send"),
        _D.account_id == bindparam("account"),
        _D.state.in_(bindparam("before", expanding=True)),
    )
    .values(state=bindparam("after"), detail=bindparam("why"), link=bindparam("at"), changed_at=bindparam("now"))
)
"""The same for one account's, with its link."""

WHO = sa.select(_S.flow_run, _S.owner, _MOVED_TO.label("moved_to")).where(_S.id == bindparam("send"))
"""Who makes a send, and what was put in this ledger's place."""
NOTE = events.insert()
"""Add an event."""

OUTCOMES = WITH_SENDS.where(*(_D[name] == bindparam(name) for name in KEY if name != "account_id"), _ACCOUNTS)
"""The destinations of a post, with their sends."""

_AT_ACCOUNTS = (_D.service == bindparam("service"), _ACCOUNTS)
# Each has an index of its own. With OR, all that was ever sent to the accounts would be read.
_IS_OPEN_OR_RECENT = (IS_UNSETTLED, _D.changed_at > bindparam("since"), _D.scheduled_ms > bindparam("since_ms"))
_IS_OTHER = sa.not_(sa.and_(*(_D[name] == bindparam(name) for name in KEY if name != "account_id")))


def _open_or_recent(column: sa.Column[Any], *conditions: sa.ColumnElement[bool]) -> sa.CompoundSelect[Any]:
    return sa.union(*(sa.select(column).where(*_AT_ACCOUNTS, each, *conditions) for each in _IS_OPEN_OR_RECENT))


_OTHERS = (_D.id.in_(_open_or_recent(_D.id)), _IS_OTHER)
SAME_LENGTH_SENDS = sa.select(_S.id, _S.duration, _S.pictures).where(
    _S.id.in_(_open_or_recent(_D.send_id, _IS_OTHER)), _S.duration.between(_LENGTH - SAME_LENGTH, _LENGTH + SAME_LENGTH)
)
"""Other sends to some accounts, since a moment or without an outcome, whose videos are as long; what shows them."""
EARLIER = WITH_SENDS.where(
    *_OTHERS,
    sa.or_(_D.sha256 == bindparam("sha256"), _D.send_id.in_(bindparam("alike", expanding=True))),
).order_by(_D.changed_at.desc())
"""Those of the same file, and those that look alike; the newest first."""
EARLIER_TRIES = WITH_SENDS.where(
    *_OTHERS,
    _D.sha256 == bindparam("sha256"),
    _D.repeat == bindparam("repeat"),
    _D.scheduled_ms == bindparam("scheduled_ms"),
).order_by(_D.changed_at.desc())
"""Those of the same file, under the same number and for the same time."""
