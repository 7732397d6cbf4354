"""The ledger's journal: what was seen of a send, as its table has it."""

from typing import Any

import sqlalchemy as sa

from reelflow.ledger import Ledger
from reelflow.ledger.schema import events


def journal_of(ledger: Ledger, send_id: str) -> list[dict[str, Any]]:
    """All that was seen of a send, oldest first."""
    query = sa.select(events).where(events.c.send_id == send_id).order_by(events.c.id)
    with ledger.transaction() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]
