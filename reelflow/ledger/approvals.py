"""What people were asked to approve, and what they decided: the first answer counts, whoever gives it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from reelflow.ledger.schema import approvals, destinations, reservations
from reelflow.ledger.sends import SendLedger
from reelflow.records.approvals import WITHOUT_TIME, Answer, Approval, OpenQuestion
from reelflow.records.post_states import NOT_OUT

_OPEN, _CLOSED = "", "closed"
"""Nobody has answered: the run waits, or it does not any more. An answer that was given before counts all the same."""


class ApprovalLedger(SendLedger):
    """The part of the ledger that is about approvals."""

    def ask_for_approval(self, flow_run: str, asked: Sequence[Approval]) -> None:
        """Record what a run asks about, in place of what it has asked before; what was answered keeps its answer."""
        now = self.now()
        with self.transaction() as connection:
            _close(connection, flow_run)
            for each in asked:
                fresh = self.insert(approvals).values(
                    flow_run=flow_run,
                    digest=each.digest,
                    question=each.question,
                    number=each.number,
                    until=each.until,
                    answer=_OPEN,
                    caption=None,
                    asked_at=now,
                )
                again = {"question": each.question, "number": each.number, "until": each.until, "asked_at": now,
                         "answer": _OPEN}  # fmt: skip
                connection.execute(
                    fresh.on_conflict_do_update(
                        index_elements=["flow_run", "digest"], set_=again, where=approvals.c.answer == _CLOSED
                    )
                )

    def answer_approvals(self, flow_run: str, answers: Mapping[str, tuple[Answer, str | None]]) -> None:
        """Record decisions, by digest, each with another caption or None; the first one of each counts."""
        c = approvals.c
        with self.transaction() as connection:
            for digest, (answer, caption) in answers.items():
                connection.execute(
                    approvals.update()
                    .where(c.flow_run == flow_run, c.digest == digest, c.answer.in_([_OPEN, _CLOSED]))
                    .values(answer=answer, caption=caption, answered_at=self.now())
                )

    def approvals(self, flow_run: str) -> dict[str, Approval]:
        """What a run has asked, by digest."""
        c = approvals.c
        with self.reading() as connection:
            rows = connection.execute(sa.select(approvals).where(c.flow_run == flow_run)).mappings()
            return {
                row["digest"]: Approval(
                    digest=row["digest"],
                    question=row["question"],
                    number=row["number"],
                    until=row["until"],
                    answer=Answer(row["answer"]) if row["answer"] not in (_OPEN, _CLOSED) else None,
                    caption=row["caption"],
                )
                for row in rows
            }

    def open_questions(self) -> list[OpenQuestion]:
        """The runs that wait for an answer whose posts still have time, the most urgent first."""
        c, now = approvals.c, self.now()
        first = sa.func.min(sa.case((c.until > 0, c.until)))
        query = (
            sa.select(c.flow_run, sa.func.count(), first, sa.func.min(c.asked_at))
            .where(c.answer == _OPEN, sa.or_(c.until > now, sa.and_(c.until == 0, c.asked_at > now - WITHOUT_TIME)))
            .group_by(c.flow_run)
        )
        with self.reading() as connection:
            found = [OpenQuestion(run, posts, at or 0.0, asked) for run, posts, at, asked in connection.execute(query)]
        return sorted(found, key=lambda question: question.first or question.asked_at)

    def asking_runs(self) -> list[str]:
        """The runs that have asked and got no answer, whether there is still time for one or not."""
        c = approvals.c
        with self.reading() as connection:
            return list(dict.fromkeys(connection.scalars(sa.select(c.flow_run).where(c.answer == _OPEN))))

    def close_questions(self, flow_run: str) -> None:
        """Close what a run has asked and does not ask any more."""
        with self.transaction() as connection:
            _close(connection, flow_run)

    def abandon_questions(self, flow_run: str, *, before: float) -> None:
        """Close the questions of a run that has ended, and let others have the slots that it has not used.

        Args:
            flow_run: The run.
            before: Unix seconds. A run that has begun again since then keeps what it has asked and reserved.
        """
        r, d = reservations.c, destinations.c
        same = (d.service == r.service, d.sha256 == r.sha256, d.account_id == r.account_id,
                d.caption_sha256 == r.caption_sha256, d.repeat == r.repeat,
                d.scheduled_ms == sa.cast(sa.func.round(r.at * 1000), sa.BigInteger))  # fmt: skip
        is_used = sa.exists().where(*same, d.state.not_in(NOT_OUT))
        with self.transaction() as connection:
            self._one_at_a_time(connection)
            _close(connection, flow_run, approvals.c.asked_at <= before)
            connection.execute(reservations.delete().where(r.flow_run == flow_run, r.made_at <= before, ~is_used))


def _close(connection: Connection, flow_run: str, *only: sa.ColumnElement[bool]) -> None:
    open_ones = approvals.update().where(approvals.c.flow_run == flow_run, approvals.c.answer == _OPEN, *only)
    connection.execute(open_ones.values(answer=_CLOSED))
