"""Which ledger this is, how many sends it has ever recorded, and what it found when it looked back."""

from __future__ import annotations

import errno
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from reelflow.ledger.rotations import RotationLedger
from reelflow.ledger.schema import api_keys, found_posts, ledger, sends
from reelflow.ledger.unavailable import unavailable
from reelflow.records.posts import FoundPost

DISK_MEGABYTES = 16
"""Room that a disk which is not full has: PostgreSQL stops if there is none for its next 16 MB of write-ahead log."""
FILE_BYTES = 1 << 20
"""The same for a ledger in a file, whose transactions are of some kB."""
_LITTLE_MEMORY = sa.text("SET LOCAL work_mem = '64kB'")
_TEMPORARY_FILE = sa.text(
    "WITH filling AS MATERIALIZED (SELECT repeat('x', 1048576) AS megabyte "
    "FROM generate_series(1, :megabytes)) SELECT sum(length(megabyte)) FROM filling"
)
"""Too much for so little memory: PostgreSQL keeps it in a file meanwhile."""
IDENTITY = sa.select(
    ledger,
    sa.exists().where(api_keys.c.looked_back == ledger.c.look_back).label("has_looked"),
    sa.select(sends.c.id).order_by(sends.c.claimed_at.desc()).limit(1).scalar_subquery().label("last_send"),
)


@dataclass(frozen=True)
class Identity:
    """Which ledger it is, however it is reached, and how old its content is.

    Attributes:
        id: Given when its tables were made.
        created_at: Unix seconds.
        sends: How many it has ever recorded, those that it lost since included. It only grows.
        lost_sends: How many of them it no longer has, as far as that was noticed.
        is_looking_back: Whether it still has to look into the history before its first sends.
        last_send: The id of the one that was claimed last; empty if it has none.
        copy_id: The name of this copy. Copies share it until one is noticed or chosen, which gets a new one.
    """

    id: str
    created_at: float
    sends: int
    lost_sends: int
    is_looking_back: bool
    last_send: str
    copy_id: str


class IdentityLedger(RotationLedger):
    """The part of the ledger that is about itself, and about posts that it should know and does not."""

    def identity(self) -> Identity:
        """Which ledger this is."""
        with self.reading() as connection:
            row = connection.execute(IDENTITY).mappings().one()
        return Identity(
            id=row["id"],
            created_at=row["created_at"],
            sends=row["send_count"] + row["lost_sends"],
            lost_sends=row["lost_sends"],
            is_looking_back=bool(row["look_back"] and not row["has_looked"]),
            last_send=row["last_send"] or "",
            copy_id=row["copy_id"],
        )

    def clock_ahead(self) -> float | None:
        """Seconds by which the database's clock is ahead of this machine's; None for a file, which has none."""
        if self.url.get_backend_name() != "postgresql":
            return None
        with self.reading() as connection:
            before = self.now()
            theirs = float(connection.scalar(sa.select(sa.extract("epoch", sa.func.clock_timestamp()))) or 0)
            return theirs - (before + self.now()) / 2

    def check_disk(self) -> None:
        """Make sure that the database's disk is not full.

        A small write proves nothing: PostgreSQL puts it into pages and a log file that it already has. A large one
        might stop PostgreSQL, if its log has no room. So this runs a query that needs a temporary file: on a full disk,
        only this query fails.

        Raises:
            LedgerUnavailable: it is full, or the database cannot be used.
        """
        if self.url.get_backend_name() == "postgresql":
            with self.reading() as connection:
                connection.execute(_LITTLE_MEMORY)
                connection.execute(_TEMPORARY_FILE, {"megabytes": DISK_MEGABYTES})
        elif self._file:
            try:
                free = shutil.disk_usage(self._file.parent).free
            except OSError as error:
                raise unavailable(error, self.url, self.place) from None
            if free < FILE_BYTES:
                full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                raise unavailable(full, self.url, self.place)

    def has_send(self, send_id: str) -> bool:
        """Whether a send is on record."""
        with self.reading() as connection:
            return connection.scalar(sa.select(sends.c.id).where(sends.c.id == send_id)) is not None

    def rename_copy(self, before: str, *, commit: Callable[[str], None]) -> bool:
        """Give this copy of the ledger a name of its own, unless somebody else has just done so; it looks back, too.

        Args:
            before: Its name until now.
            commit: Called with the new name, to let programs use this copy only. If it raises, the old name stays.

        Returns:
            Whether it has the new name.
        """
        name = uuid.uuid4().hex
        values = {"copy_id": name, "look_back": ledger.c.look_back + 1}
        with self.transaction() as connection:
            renamed = connection.execute(ledger.update().where(ledger.c.copy_id == before).values(values)).rowcount == 1
            if renamed:
                commit(name)
            return renamed

    def reinstate(self) -> None:
        """Let this ledger be used again, after another one was used in its place."""
        with self.transaction() as connection:
            connection.execute(ledger.update().values(moved_to=None))

    def require_look_back(self) -> None:
        """Let every key look into the history before its next send: this ledger may lack what was sent."""
        with self.transaction() as connection:
            connection.execute(ledger.update().values(look_back=ledger.c.look_back + 1))

    def expect_sends(self, remembered: int) -> int:
        """Compare with the number of sends that this ledger is known to have had.

        If it has fewer, it was emptied or restored from a backup. That is noted, so that it is noticed once, and every
        key looks back before its next send.

        Returns:
            How many are missing that were not missing before.
        """
        with self.transaction() as connection:
            row = connection.execute(sa.select(ledger).with_for_update()).mappings().one()
            lost: int = row["lost_sends"]
            missing: int = remembered - row["send_count"] - lost
            if missing > 0:
                values = {"lost_sends": lost + missing, "look_back": ledger.c.look_back + 1}
                connection.execute(ledger.update().values(values))
            return max(0, missing)

    # Looking back

    def has_to_look_back(self, api_key: str) -> bool:
        """Whether this key has not looked into the history yet since the ledger was to look back."""
        with self.reading() as connection:
            looked_back = connection.scalar(sa.select(api_keys.c.looked_back).where(api_keys.c.api_key == api_key)) or 0
            return bool(looked_back < (connection.scalar(sa.select(ledger.c.look_back)) or 0))

    def store_found(self, api_key: str, service: str, found: Iterable[FoundPost]) -> None:
        """Store what a key found when it looked back; with that it has done so."""
        with self.transaction() as connection:
            self._key_row(connection, api_key)
            generation = sa.select(ledger.c.look_back).scalar_subquery()
            connection.execute(api_keys.update().where(api_keys.c.api_key == api_key).values(looked_back=generation))
            for post in found:
                row = {
                    "service": service,
                    "history_id": post.history_id or None,
                    "caption": post.caption,
                    "accounts": json.dumps(post.account_ids),
                    "platforms": json.dumps(post.platforms),
                    "at": post.at,
                    "found_at": self.now(),
                }
                connection.execute(self.insert_new(found_posts), row)

    def found_posts(self, service: str) -> Sequence[FoundPost]:
        """What was found looking back and still belongs to no send on record, the newest last."""
        f = found_posts.c
        owned = sa.exists().where(sends.c.service == f.service, sends.c.history_id == f.history_id)
        query = sa.select(found_posts).where(f.service == service, sa.not_(owned)).order_by(f.at, f.id)
        with self.reading() as connection:
            return [
                FoundPost(
                    history_id=row["history_id"] or "",
                    caption=row["caption"],
                    account_ids=tuple(json.loads(row["accounts"])),
                    platforms=tuple(json.loads(row["platforms"])),
                    at=row["at"],
                )
                for row in connection.execute(query).mappings()
            ]
