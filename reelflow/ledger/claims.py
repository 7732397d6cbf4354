"""Claim the destinations of a post before it is sent, unless an earlier send may be the same post."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from reelflow.ledger.database import refuse_if_moved
from reelflow.ledger.post_rows import destination_row, outcome_of, post_key, send_of, send_row
from reelflow.ledger.posts import PostLedger
from reelflow.ledger.schema import KEY, destinations, sends
from reelflow.ledger.sends import SendLedger
from reelflow.ledger.statements import CHANGE_SEND, EARLIER, EARLIER_TRIES, NEW_SEND, SAME_LENGTH_SENDS
from reelflow.records.duplicates import Duplicate, Verdict, are_alike, duplicate_of
from reelflow.records.post_states import BEING_SENT, PostState, is_held, may_be_claimed, may_be_sent
from reelflow.records.posts import SENT_AGAIN, Account, Claim, Outcome, PostRequest, Send, Video


class DuplicateFound(Exception):
    """A claim was not made, because of these earlier sends."""

    def __init__(self, found: Sequence[Duplicate]) -> None:
        super().__init__(f"{len(found)} earlier sends")
        self.found = found


class ClaimLedger(PostLedger, SendLedger):
    """The part of the ledger that decides who may send what."""

    def claim(
        self, request: PostRequest, *, service: str, owner: str, flow_run: str | None = None, client: str = ""
    ) -> Claim:
        """Claim those destinations of `request` that nobody has sent to or is sending to.

        A claim whose holder has died before its upload was complete is taken over. `client` is for the record.

        Raises:
            DuplicateFound: the same post, with something changed, has been sent to one of them. Nothing is claimed.
            LedgerReplaced: the ledger has been moved since it was opened.
        """
        now = self.now()
        accounts = sorted(request.accounts, key=lambda a: a.id)  # one order everywhere: no two claims can deadlock
        send_id = uuid.uuid4().hex
        mine: list[Account] = []
        waiting: set[str] = set()
        settled: set[str] = set()
        with self.transaction() as connection:
            self._one_at_a_time(connection)
            refuse_if_moved(connection, self.place)
            lease = now + self.lease_seconds
            row = send_row(send_id, request, service, owner, flow_run, now=now, lease_until=lease, client=client)
            connection.execute(NEW_SEND, row)
            for account in accounts:
                row = destination_row(send_id, request, account, service, now)
                # What came back tells, not the row count, which PostgreSQL's driver does not know for this statement.
                if connection.execute(self.insert_new(destinations, returning="id"), row).first() is not None:
                    mine.append(account)
                    continue
                other = self._locked(connection, row)
                held = {"lease_until": other["lease_until"], "now": now}
                state = PostState(other["state"])
                if may_be_claimed(state, sealed_at=other["sealed_at"], **held):
                    connection.execute(
                        destinations.update()
                        .where(destinations.c.id == other["id"])
                        .values(send_id=send_id, state=PostState.CLAIMED, detail="", link=None, changed_at=now)
                    )
                    mine.append(account)
                elif is_held(state, **held):
                    waiting.add(other["send_id"])
                else:
                    settled.add(other["send_id"])
            if not mine:
                connection.execute(sends.delete().where(sends.c.id == send_id))
                return Claim(None, [], sorted(waiting), sorted(settled))
            earlier = self._earlier(connection, request, service, mine, now)
            if refused := [each for each in _duplicates(request, earlier, now) if each.verdict is Verdict.REFUSE]:
                raise DuplicateFound(refused)
            self._fence(connection, earlier, now)
            ids = json.dumps(sorted(a.id for a in mine))
            connection.execute(CHANGE_SEND, {"send": send_id, "accounts": ids})
            self._note(connection, send_id, PostState.CLAIMED, f"claimed for {len(mine)} accounts")
        return Claim(send_id, mine, sorted(waiting), sorted(settled))

    def duplicates(self, request: PostRequest, *, service: str) -> list[Duplicate]:
        """Earlier sends of the same or a similar video to those accounts of `request` that a claim would get."""
        left = self.claimable(request, service=service)
        with self.reading() as connection:
            now = self.now()
            return _duplicates(request, self._earlier(connection, request, service, left, now), now)

    def claimable(self, request: PostRequest, *, service: str) -> list[Account]:
        """Those accounts of `request` that a claim would get: to the others it was sent before."""
        now = self.now()
        taken = {
            outcome.account.id
            for outcome, send in self.outcomes(request, service=service)
            if not may_be_claimed(outcome.state, lease_until=send.lease_until, sealed_at=send.sealed_at, now=now)
        }
        return [account for account in request.accounts if account.id not in taken]

    def all_sent(self, request: PostRequest, *, service: str) -> bool:
        """Whether the post is out, or may be, at each account of `request`: a send of it sends nothing."""
        now, found = self.now(), self.outcomes(request, service=service)
        return len(found) == len(request.accounts) and not any(
            may_be_sent(outcome.state, lease_until=send.lease_until, sealed_at=send.sealed_at, now=now)
            for outcome, send in found
        )

    def _earlier(
        self, connection: Connection, request: PostRequest, service: str, accounts: Sequence[Account], now: float
    ) -> list[tuple[Send, Outcome]]:
        """Other sends to these accounts that may be of the same video. None if it is sent again on purpose.

        What a campaign sends again since it failed is compared only with itself: its caption may have been changed.
        """
        if 0 < request.repeat < SENT_AGAIN or not accounts:
            return []
        since = now - request.duplicate_seconds
        wanted = {
            **post_key(destination_row("", request, accounts[0], service, now)),
            "accounts": [account.id for account in accounts],
            "since": since,
            "since_ms": round(since * 1000),
        }
        if request.repeat:
            rows = connection.execute(EARLIER_TRIES, wanted).mappings()
        else:
            alike = _alike(connection, request.video, wanted)
            rows = connection.execute(EARLIER, {**wanted, "alike": alike}).mappings()
        return [(send_of(row), outcome_of(row)) for row in rows]

    @staticmethod
    def _fence(connection: Connection, earlier: Sequence[tuple[Send, Outcome]], now: float) -> None:
        """Take away the claims of sends whose runs seem dead: one that comes back must not send beside this one."""
        dead = {
            send.id
            for send, outcome in earlier
            if outcome.state in BEING_SENT
            and may_be_claimed(outcome.state, lease_until=send.lease_until, sealed_at=send.sealed_at, now=now)
        }
        if dead:
            connection.execute(sends.update().where(sends.c.id.in_(dead)).values(owner="", lease_until=0))

    @staticmethod
    def _locked(connection: Connection, key: dict[str, Any]) -> RowMapping:
        query = (
            sa.select(destinations, sends.c.lease_until, sends.c.sealed_at)
            .join(sends, sends.c.id == destinations.c.send_id)
            .where(*(destinations.c[name] == key[name] for name in KEY))
            .with_for_update(of=destinations)
        )
        return connection.execute(query).mappings().one()


def _alike(connection: Connection, video: Video, wanted: Mapping[str, Any]) -> list[str]:
    """The ids of those other sends that show the same as `video`; no more is read of the others than what tells."""
    rows = connection.execute(SAME_LENGTH_SENDS, {**wanted, "length": video.duration})
    return [row.id for row in rows if are_alike(video, row.duration, json.loads(row.pictures))]


def _duplicates(request: PostRequest, earlier: Sequence[tuple[Send, Outcome]], now: float) -> list[Duplicate]:
    """What earlier sends mean for a post, refusals first."""
    found = [duplicate_of(request, send, outcome, now=now) for send, outcome in earlier]
    return sorted((each for each in found if each), key=lambda each: each.verdict is not Verdict.REFUSE)
