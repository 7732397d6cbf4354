"""What the phones are to do for posts once they are out, and which run does it: each engagement has one at a time."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, astuple
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from reelflow.errors import ClaimLost
from reelflow.ledger.alarms import AlarmLedger
from reelflow.ledger.database import refuse_if_moved
from reelflow.ledger.post_rows import outcome_of, send_of
from reelflow.ledger.posts import PostLedger
from reelflow.ledger.schema import ENGAGED, engagements
from reelflow.ledger.sends import lease_is_alive
from reelflow.ledger.statements import OUTCOMES
from reelflow.records.alarms import Alarm, cause_of
from reelflow.records.engagements import (
    OPEN,
    EngagedPost,
    Engagement,
    EngagementState,
    NewEngagement,
    PartResult,
)
from reelflow.records.post_states import NOT_OUT
from reelflow.records.posts import Outcome, Send

LEASES = 2
"""An engagement stays its run's for so many leases: once it is free, those of the run's requests to TikMatrix are over,
too, and whoever takes it over takes them along."""
ENGAGEMENT_LOCK = 7263552
"""PostgreSQL's advisory lock under which engagements are asked for and claimed; SQLite has one writer anyway."""
_C = engagements.c


class EngagementLedger(PostLedger, AlarmLedger):
    """The part of the ledger that is about engagements."""

    def ask_for_engagement(
        self,
        new: NewEngagement,
        *,
        flow_run: str | None,
        owner: str = "",
        replaces: Callable[[Engagement], bool] = lambda other: False,
        is_restart: bool = False,
    ) -> Engagement:
        """Record what the phones are to do for a post, before it is sent; what is on record then.

        One post has one engagement for each form: asking again adds accounts, and lets one wait again that came to
        nothing or failed, for its parts that failed. One that is done stays so, unless the post has gone to more
        accounts since.

        Args:
            new: What is asked.
            flow_run: The run that asks.
            owner: The attempt that takes it, unless another one has it; empty if it is left to a later run.
            replaces: Which other engagements of the post, that wait and that nobody has, this one replaces.
            is_restart: Whether nobody started the run again, but reelflow itself. What it has asked before is then not
                asked again: what failed or was cancelled stays so, and what was asked since is not replaced.
        """
        now, digest = self.now(), _digest(new)
        with self.transaction() as connection:
            self._one_at_a_time_engaged(connection)
            refuse_if_moved(connection, self.place)
            same = connection.execute(_of_post(new.post)).mappings().all()
            known = next((row for row in same if row["form_sha256"] == digest), None)
            is_new = known is None or not is_restart
            for row in same if is_new else ():
                other = _engagement_of(row)
                is_free = other.state is EngagementState.WAITING and not other.is_held(now)
                if row["form_sha256"] != digest and is_free and replaces(other):
                    reason = "replaced: the same post was started again with other settings for the phones"
                    self._move_engagement(connection, other.id, EngagementState.CANCELLED, reason)
            if known is None:
                known_id = uuid.uuid4().hex
                connection.execute(engagements.insert().values(_row(known_id, new, digest, flow_run, now)))
            else:
                known_id = known["id"]
                self._ask_again(connection, _engagement_of(known), new, flow_run, is_restart=is_restart)
            if owner:
                self._take(connection, known_id, owner, flow_run)
            return self._engagement(connection, known_id)

    def _ask_again(
        self, connection: Connection, known: Engagement, new: NewEngagement, flow_run: str | None, *, is_restart: bool
    ) -> None:
        added = set(new.account_ids) - set(known.account_ids)
        values: dict[str, Any] = {"accounts": json.dumps(sorted({*known.account_ids, *new.account_ids}))}
        waits_again = {EngagementState.SKIPPED}
        if not is_restart:
            waits_again |= {EngagementState.FAILED, EngagementState.CANCELLED}
        if known.state in waits_again or (known.state is EngagementState.DONE and added):
            self._move_engagement(connection, known.id, EngagementState.WAITING, "")
            values |= {**self._of_new_round(known), "due": new.due, "flow_run": flow_run}
        connection.execute(engagements.update().where(_C.id == known.id).values(values))

    def reopen_engagement(self, engagement_id: str, owner: str, flow_run: str | None) -> None:
        """Let one that failed or was skipped wait again, for its parts that failed, as this attempt's."""
        with self.transaction() as connection:
            self._one_at_a_time_engaged(connection)
            refuse_if_moved(connection, self.place)
            known = self._engagement(connection, engagement_id)
            if known.state not in (EngagementState.FAILED, EngagementState.SKIPPED):
                return
            self._move_engagement(connection, known.id, EngagementState.WAITING, "")
            values = {**self._of_new_round(known), "due": self.now(), "flow_run": flow_run}
            connection.execute(engagements.update().where(_C.id == known.id).values(values))
            self._take(connection, known.id, owner, flow_run)

    def _of_new_round(self, known: Engagement) -> dict[str, Any]:
        """What is recorded of one that a person asks for again: of its parts those that did not fail."""
        parts = json.dumps([asdict(part) for part in known.parts if not part.failed])
        return {"asked_at": self.now(), "attempts": 0, "parts": parts}

    def engagements(
        self,
        *,
        ids: Sequence[str] | None = None,
        states: Collection[EngagementState] | None = None,
        run: str | None = None,
    ) -> list[Engagement]:
        """Engagements that match all that is given, those first that are due first."""
        conditions = [
            *([_C.id.in_(ids)] if ids is not None else []),
            *([_C.state.in_(states)] if states is not None else []),
            *([_C.run == run] if run is not None else []),
        ]
        query = sa.select(engagements).where(*conditions).order_by(_C.due, _C.asked_at, _C.id)
        with self.reading() as connection:
            return [_engagement_of(row) for row in connection.execute(query).mappings()]

    def engagement_outcomes(self, engagement: NewEngagement) -> list[tuple[Outcome, Send]]:
        """What is on record of an engagement's post at each account, whichever send brought it there."""
        wanted = {**asdict(engagement.post), "accounts": list(engagement.account_ids)}
        with self.reading() as connection:
            return [(outcome_of(row), send_of(row)) for row in connection.execute(OUTCOMES, wanted).mappings()]

    def claim_engagement(self, engagement_id: str, owner: str, run: str | None) -> Engagement | None:
        """Start it as this attempt's, or take it over from one that sent no heartbeat; None if another one has it.

        One that has ended is claimed by nobody.
        """
        with self.transaction() as connection:
            self._one_at_a_time_engaged(connection)
            refuse_if_moved(connection, self.place)
            if not self._take(connection, engagement_id, owner, run):
                return None
            self._move_engagement(connection, engagement_id, EngagementState.STARTED, "")
            counted = engagements.update().where(_C.id == engagement_id).values(attempts=_C.attempts + 1)
            connection.execute(counted)
            return self._engagement(connection, engagement_id)

    def renew_engagement(self, engagement_id: str, owner: str) -> None:
        """Show that the attempt which has it is alive.

        Raises:
            ClaimLost: another attempt has taken it over.
        """
        with self.transaction() as connection:
            self._own_engagement(connection, engagement_id, owner, lease_until=self._engagement_lease())

    def record_part(self, engagement_id: str, owner: str, part: PartResult) -> None:
        """Record what became of one part.

        Raises:
            ClaimLost: another attempt has taken it over.
        """
        with self.transaction() as connection:
            found = self._engagement(connection, engagement_id)
            about = (part.job, part.platform, part.urls)
            others = [each for each in found.parts if (each.job, each.platform, each.urls) != about]
            parts = json.dumps([asdict(each) for each in (*others, part)])
            self._own_engagement(connection, engagement_id, owner, parts=parts)

    def release_engagement(self, engagement_id: str, owner: str) -> None:
        """Let the next run have it."""
        with self.transaction() as connection:
            ours = engagements.update().where(_C.id == engagement_id, _C.owner == owner)
            connection.execute(ours.values(lease_until=0))

    def settle_engagement(
        self,
        engagement_id: str,
        state: EngagementState,
        reason: str = "",
        *,
        owner: str | None = None,
        due: float | None = None,
        is_alarm: bool = False,
    ) -> bool:
        """Record how far it got; whether it was recorded.

        Args:
            engagement_id: Ours.
            state: What it is now. WAITING leaves the rest to a later run.
            reason: Why, for people.
            owner: The attempt that has it; None for one that nobody has.
            due: For one that waits: no run is started for it before. The runs until now do not count as attempts.
            is_alarm: Whether people must know, and no run of its own tells them.
        """
        later = {} if due is None else {"due": due, "attempts": 0}
        with self.transaction() as connection:
            self._one_at_a_time_engaged(connection)
            found = self._engagement(connection, engagement_id)
            is_others = found.owner != owner if owner is not None else found.is_held(self.now())
            if is_others or found.state not in OPEN:
                return False
            if not self._move_engagement(connection, engagement_id, state, reason):
                return False
            free = {"owner": "", "lease_until": 0, **later}  # a last heartbeat of its run renews nothing
            connection.execute(engagements.update().where(_C.id == engagement_id).values(free))
            if is_alarm:
                self._alarm(connection, [_alarm_of(found, state, reason)])
            return True

    def count_attempt(self, engagement: Engagement) -> None:
        """Count a run that ended without having had it, so that the next one is another run."""
        seen = sa.and_(_C.id == engagement.id, _C.attempts == engagement.attempts)
        with self.transaction() as connection:
            connection.execute(engagements.update().where(seen).values(attempts=_C.attempts + 1))

    def cancel_engagements_of_run(self, flow_run: str, reason: str) -> list[Engagement]:
        """Cancel what a run that was cancelled had asked for, or was at work on."""
        mine = sa.or_(_C.flow_run == flow_run, _C.run == flow_run)
        return self._cancel_engagements(sa.and_(mine, _C.state.in_(OPEN)), reason, lambda connection, found: True)

    def cancel_engagements_of_send(self, send: Send, reason: str) -> list[Engagement]:
        """Cancel those of a post that was cancelled, if none of it is out or will be."""
        of_video = sa.and_(_C.service == send.service, _C.sha256 == send.sha256, _C.state.in_(OPEN))

        def is_nowhere(connection: Connection, found: Engagement) -> bool:
            wanted = {**asdict(found.post), "accounts": list(found.account_ids)}
            rows = connection.execute(OUTCOMES, wanted).mappings().all()
            return bool(rows) and all(row["state"] in NOT_OUT for row in rows)

        return self._cancel_engagements(of_video, reason, is_nowhere)

    # Inside

    def _cancel_engagements(
        self,
        condition: sa.ColumnElement[bool],
        reason: str,
        concerns: Callable[[Connection, Engagement], bool],
    ) -> list[Engagement]:
        cancelled = []
        with self.transaction() as connection:
            self._one_at_a_time_engaged(connection)
            for row in connection.execute(sa.select(engagements).where(condition)).mappings().all():
                found = _engagement_of(row)
                if concerns(connection, found):
                    self._move_engagement(connection, found.id, EngagementState.CANCELLED, reason)
                    ended = engagements.update().where(_C.id == found.id).values(owner="", lease_until=0)
                    connection.execute(ended)
                    cancelled.append(found)
        return cancelled

    @staticmethod
    def _one_at_a_time_engaged(connection: Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({ENGAGEMENT_LOCK})"))

    def _engagement_lease(self) -> float:
        return self.now() + LEASES * self.lease_seconds

    def _take(self, connection: Connection, engagement_id: str, owner: str, run: str | None) -> bool:
        """Whether this attempt has an open engagement now."""
        free = sa.or_(_C.owner == owner, sa.not_(lease_is_alive(_C.lease_until, self.now())))
        taken = connection.execute(
            engagements.update()
            .where(_C.id == engagement_id, _C.state.in_(OPEN), free)
            .values(owner=owner, run=run, lease_until=self._engagement_lease())
        )
        return taken.rowcount == 1

    def _own_engagement(self, connection: Connection, engagement_id: str, owner: str, **values: Any) -> None:
        ours = engagements.update().where(_C.id == engagement_id, _C.owner == owner, _C.state.in_(OPEN))
        if connection.execute(ours.values(values)).rowcount != 1:
            raise ClaimLost(
                "Another run has taken over what the phones do for this post, or it was cancelled. This run requests "
                "nothing more."
            )

    def _move_engagement(self, connection: Connection, engagement_id: str, state: EngagementState, reason: str) -> bool:
        moved = connection.execute(
            engagements.update()
            .where(_C.id == engagement_id, _C.state.in_(state.may_come_from))
            .values(state=state, reason=reason, changed_at=self.now())
        )
        return moved.rowcount == 1

    @staticmethod
    def _engagement(connection: Connection, engagement_id: str) -> Engagement:
        row = connection.execute(sa.select(engagements).where(_C.id == engagement_id)).mappings().one()
        return _engagement_of(row)


def _of_post(post: EngagedPost) -> sa.Select[Any]:
    same = (_C[name] == value for name, value in zip(ENGAGED, astuple(post), strict=True))
    return sa.select(engagements).where(*same).with_for_update()


def _digest(new: NewEngagement) -> str:
    text = json.dumps([new.form, new.host, new.chatgpt], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _row(known_id: str, new: NewEngagement, digest: str, flow_run: str | None, now: float) -> dict[str, Any]:
    return {
        "id": known_id,
        **asdict(new.post),
        "accounts": json.dumps(sorted(new.account_ids)),
        "form": json.dumps(new.form),
        "form_sha256": digest,
        "file": new.file,
        "host": new.host,
        "chatgpt": new.chatgpt,
        "flow_run": flow_run,
        "asked_at": now,
        "due": new.due,
        "state": EngagementState.WAITING,
        "reason": "",
        "owner": "",
        "lease_until": 0.0,
        "attempts": 0,
        "parts": "[]",
        "changed_at": now,
    }


def _engagement_of(row: RowMapping) -> Engagement:
    named = ("id", "file", "host", "chatgpt", "due", "flow_run", "asked_at", "reason", "owner", "lease_until", "run",
             "attempts")  # fmt: skip
    return Engagement(
        post=EngagedPost(*(row[name] for name in ENGAGED)),
        account_ids=tuple(json.loads(row["accounts"])),
        form=json.loads(row["form"]),
        state=EngagementState(row["state"]),
        parts=tuple(PartResult(**{**part, "urls": tuple(part["urls"])}) for part in json.loads(row["parts"])),
        **{name: row[name] for name in named},
    )


def _alarm_of(found: Engagement, state: EngagementState, reason: str) -> Alarm:
    return Alarm(
        key=f"engagement {found.id} {state} {found.asked_at:.3f}",
        kind="engagement",
        state=state,
        subject=f"the phones' part of {found.file}",
        who="",
        reason=reason,
        cause=cause_of("engagement", state, reason),
        flow_run=found.run or found.flow_run,
        ref=found.id,
    )
