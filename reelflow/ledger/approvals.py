"""What people were asked to approve, and what they decided: the first answer counts, whoever gives it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from reelflow.ledger.database import Database
from reelflow.ledger.schema import approvals
from reelflow.records.approvals import Answer, Approval, OpenQuestion


class ApprovalLedger(Database):
    """The part of the ledger that is about approvals."""

    def ask_for_approval(self, flow_run: str, asked: Sequence[Approval]) -> None:
        """Record what a run asks about. What it has asked before keeps its answer."""
        now = self.now()
        with self.transaction() as connection:
            for each in asked:
                fresh = self.insert(approvals).values(
                    flow_run=flow_run,
                    digest=each.digest,
                    question=each.question,
                    number=each.number,
                    until=each.until,
                    answer="",
                    caption=None,
                    asked_at=now,
                )
                kept = {"question": each.question, "number": each.number, "until": each.until, "asked_at": now}
                connection.execute(
                    fresh.on_conflict_do_update(
                        index_elements=["flow_run", "digest"], set_=kept, where=approvals.c.answer == ""
                    )
                )

    def answer_approvals(self, flow_run: str, answers: Mapping[str, tuple[Answer, str | None]]) -> None:
        """Record decisions, by digest, each with another caption or None; the first one of each counts."""
        c = approvals.c
        with self.transaction() as connection:
            for digest, (answer, caption) in answers.items():
                connection.execute(
                    approvals.update()
                    .where(c.flow_run == flow_run, c.digest == digest, c.answer == "")
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
                    answer=Answer(row["answer"]) if row["answer"] else None,
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
            .where(c.answer == "", sa.or_(c.until == 0, c.until > now))
            .group_by(c.flow_run)
        )
        with self.reading() as connection:
            found = [OpenQuestion(run, posts, at or 0.0, asked) for run, posts, at, asked in connection.execute(query)]
        return sorted(found, key=lambda question: question.first or question.asked_at)
