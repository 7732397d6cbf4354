"""The posts of a campaign, from a row for one account to what is sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from reelflow.campaigns.columns import FIT, column_of
from reelflow.campaigns.rows import Plan, PlanRow, RowProblem
from reelflow.errors import FitUnavailable, InputError, NoRoom
from reelflow.posts.fit_fields import FIT_LABEL
from reelflow.records.campaigns import RowPost, SlotRequest, Taken
from reelflow.records.holds import Hold
from reelflow.records.posts import Account, Outcome, PostRequest, Send, Video

_OF_THE_MACHINE = {NoRoom: "disk_full", FitUnavailable: "fit_unavailable"}


@dataclass(frozen=True)
class Draft:
    """What a row wants at one account.

    Attributes:
        row: The row.
        video: Its video, checked.
        account: Where to post.
        caption: The text for this account's platform.
        when: The moment, in UTC; "now"; None for the next free slot.
        repeat: As in `PostRequest`.
    """

    row: PlanRow
    video: Video
    account: Account
    caption: str
    when: datetime | Literal["now"] | None
    repeat: int = 0

    @property
    def post(self) -> RowPost:
        """What the ledger knows it by."""
        at = self.when.timestamp() if isinstance(self.when, datetime) else None if self.when is None else 0.0
        return RowPost(self.row.campaign, self.video.sha256, self.account.id, self.repeat, at)

    def skipped(self, reason: str, *, is_failure: bool = False) -> Skipped:
        """The same as not sent; see `Skipped`."""
        return Skipped(self.row.number, self.video.name, (self.account,), reason, is_failure)


@dataclass(frozen=True)
class PlannedPost:
    """What is sent with one request to Taisly: the accounts of a row with one caption and one moment.

    Attributes:
        number: Of the row.
        request: The post.
        slots: The slots that it takes; none if its time was fixed.
        note: What is to be said of its time.
    """

    number: int
    request: PostRequest
    slots: tuple[SlotRequest, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Known:
    """A row at one account that needs no sending: what is on record for it."""

    number: int
    send: Send
    outcome: Outcome


@dataclass(frozen=True)
class Skipped:
    """A row, or one account of it, that is not sent, and why.

    Attributes:
        number: Of the row.
        file: The name of its video.
        accounts: Where.
        reason: Why.
        is_failure: Whether it was wanted, so that a person must know; otherwise there is nothing to do.
    """

    number: int
    file: str
    accounts: tuple[Account, ...]
    reason: str
    is_failure: bool = False


@dataclass(frozen=True)
class Held:
    """A row that is not sent to an account, since that is on hold; `at` is its fixed time."""

    number: int
    file: str
    caption: str
    at: datetime | None
    hold: Hold


@dataclass
class CheckedPlan:
    """What checking a plan has found.

    Attributes:
        drafts: What is to be sent, each for one account.
        posts: The same, each with the time that it would have now, in the order of their times.
        known: What was sent before, and needs no sending now; also if it failed or is unconfirmed.
        skipped: What is not sent although its row is right.
        held: What is not sent since its account is on hold.
        released: What was on hold, and was released as the form asked.
        approved: The moments that a person has approved, as in `Decided`; empty if nobody was asked.
        problems: What is wrong, in the order of the rows.
        warnings: What may be unwanted, by row: it is sent all the same.
        others: When accounts have posts in Taisly that the ledger does not know.
        seconds: How long sending takes at least, by the plan's quota.
        phones: What the phones do for a post once it is published, by row and platform, in words.
    """

    drafts: list[Draft] = field(default_factory=list)
    posts: list[PlannedPost] = field(default_factory=list)
    known: list[Known] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    released: list[Hold] = field(default_factory=list)
    approved: dict[tuple[int, str], float] = field(default_factory=dict)
    problems: list[RowProblem] = field(default_factory=list)
    warnings: list[tuple[int, str]] = field(default_factory=list)
    others: Taken = field(default_factory=dict)
    seconds: float = 0.0
    phones: dict[tuple[int, str], str] = field(default_factory=dict)

    @property
    def wrong_rows(self) -> set[int]:
        """The numbers of the rows that have a problem; 0 for the plan itself."""
        return {problem.number for problem in self.problems}

    def right_posts(self) -> list[PlannedPost]:
        """The posts of rows without a problem."""
        wrong = self.wrong_rows
        return [post for post in self.posts if post.number not in wrong]

    def phones_of(self, post: PlannedPost) -> str:
        """What the phones do for a post: "comments (2 texts) on TikTok and Instagram"; empty for nothing."""
        where: dict[str, list[str]] = {}
        for platform in dict.fromkeys(account.platform for account in post.request.accounts):
            if words := self.phones.get((post.number, platform)):
                where.setdefault(words, []).append(platform)
        return "; ".join(f"{words} on {' and '.join(platforms)}" for words, platforms in where.items())

    def right_drafts(self) -> list[Draft]:
        """The drafts of rows without a problem."""
        wrong = self.wrong_rows
        return [draft for draft in self.drafts if draft.row.number not in wrong]


def problem_of(number: int, column: str, code: str, error: InputError | str) -> RowProblem:
    """A problem with the sentence of an error, under the machine's own code if it is a fault of the machine."""
    own = next((own for kind, own in _OF_THE_MACHINE.items() if isinstance(error, kind)), code)
    return RowProblem(number, column, own, str(error))


def naming_column(problems: Iterable[RowProblem], plan: Plan) -> list[RowProblem]:
    """Problems of a plan: advice on what the form says of all rows names the column with which a row says it, too."""
    has_column = any(column_of(name) == FIT for name in plan.columns)
    more = f" For this row alone, put 'pad', 'blur' or 'crop' into its column '{FIT}'."
    return [
        replace(each, sentence=each.sentence + more)
        if has_column and f"'{FIT_LABEL}'" in each.sentence and not each.sentence.endswith(more)
        else each
        for each in problems
    ]


def labels(accounts: Sequence[Account]) -> str:
    """Accounts in one line."""
    return ", ".join(account.label for account in accounts)
