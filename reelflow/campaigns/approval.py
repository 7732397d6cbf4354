"""Approval by a person: what is asked, what an answer means, and what follows from it. Pure decisions."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from reelflow.campaigns.posts import CheckedPlan, Draft, PlannedPost, Skipped
from reelflow.errors import InputError
from reelflow.posts.accounts import check_caption
from reelflow.records.approvals import Answer, Approval
from reelflow.records.campaigns import Reservation
from reelflow.records.posts import plain_caption
from reelflow.time_zones import shown
from reelflow.wording import count, one_line

Answers = dict[str, tuple[Answer, str | None]]
"""What was decided, by digest: and another caption, or None for the plan's own."""
PLAN_CHANGED = "The plan has changed since you were asked."
_RANGE = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")
_WORDS = re.compile(r"\brows?\b|\brows?(?=\d)|\band\b|#", re.IGNORECASE)
"""What people write around row numbers."""


@dataclass(frozen=True)
class CaptionChange:
    """Another caption for a row; for one platform, or for all of them if that is empty."""

    row: int
    caption: str
    platform: str = ""


@dataclass(frozen=True)
class GivenAnswer:
    """What a person answered.

    Attributes:
        approves: Whether to publish what is not dropped; if not, nothing is published.
        drop: Rows that are not published, such as "3, 5-7".
        captions: Other captions.
    """

    approves: bool
    drop: str = ""
    captions: Sequence[CaptionChange] = ()


@dataclass
class Decided:
    """Drafts sorted by what is decided about them.

    Attributes:
        approved: To be sent, with the captions that were approved.
        skipped: Dropped, or too late.
        dropped: The drafts of those, whose slots may be released.
        open: Not decided yet.
        moments: For what is approved, the moments that were shown, by row and account id; Unix seconds, 0 for at once.
    """

    approved: list[Draft] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    dropped: list[Draft] = field(default_factory=list)
    open: list[Draft] = field(default_factory=list)
    moments: dict[tuple[int, str], float] = field(default_factory=dict)


def digest_of(draft: Draft) -> str:
    """What an approval is bound to: video and its fit, account, caption, `repeat`, and the time if the plan sets one.

    What the row asks of the phones belongs to it: they comment under the account's name. The moment of a slot does not:
    `leave_out_moved` compares that once the slot is placed.
    """
    content: list[object] = [
        draft.video.sha256,
        draft.account.id,
        plain_caption(draft.caption),
        draft.repeat,
        str(draft.when or ""),
    ]
    content += draft.video.changes
    if draft.row.comments or draft.row.warm_up_minutes is not None:
        content.append([*draft.row.comments, draft.row.warm_up_minutes])
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def questions_of(posts: Sequence[PlannedPost], drafts: Sequence[Draft], question: int) -> list[Approval]:
    """What is asked about drafts that have their times.

    Args:
        posts: With the times.
        drafts: What is asked about.
        question: Its number.
    """
    moments = _moments(posts)
    return [Approval(digest_of(draft), question, draft.row.number, moments[_place(draft)]) for draft in drafts]


def _moments(posts: Sequence[PlannedPost]) -> dict[tuple[int, str], float]:
    """When posts are published, by row and account id; Unix seconds, 0 for at once."""
    return {
        (post.number, account.id): post.request.scheduled_for.timestamp() if post.request.scheduled_for else 0.0
        for post in posts
        for account in post.request.accounts
    }


def _place(draft: Draft) -> tuple[int, str]:
    return draft.row.number, draft.account.id


def decide(drafts: Iterable[Draft], known: Mapping[str, Approval], now: float) -> Decided:
    """Sort drafts by what is on record about them.

    Args:
        drafts: To be sent, if they are approved.
        known: What was asked, by digest.
        now: Unix seconds.
    """
    found = Decided()
    for draft in drafts:
        asked = known.get(digest_of(draft))
        if asked is None:
            found.open.append(draft)
        elif asked.answer is Answer.DROPPED:
            _skip(found, draft, "You did not approve it.")
        elif asked.until and asked.until <= now:
            why = f"It was not {'sent' if asked.answer else 'approved'} before its time, {shown(asked.until)}."
            _skip(found, draft, f"{why} Start the campaign again to publish it.", is_failure=True)
        elif asked.answer is None:
            found.open.append(draft)
        else:
            found.approved.append(draft if asked.caption is None else replace(draft, caption=asked.caption))
            found.moments[_place(draft)] = asked.until
    return found


def _skip(found: Decided, draft: Draft, reason: str, *, is_failure: bool = False) -> None:
    found.skipped.append(draft.skipped(reason, is_failure=is_failure))
    found.dropped.append(draft)


def leave_out_moved(checked: CheckedPlan, posts: Sequence[PlannedPost]) -> bool:
    """Take out of a plan what would now be published at another moment than the approved one; whether there was any.

    Args:
        checked: What was approved.
        posts: The same with the moments that they have now.
    """
    now, left = _moments(posts), list[Draft]()
    for draft in checked.drafts:
        approved, at = checked.approved.get(_place(draft)), now.get(_place(draft))
        if approved is None or at is None or abs(at - approved) < 1:
            left.append(draft)
            continue
        reason = (
            f"You approved it for {shown(approved)}, and that slot is no longer free. Start the campaign again to "
            "approve another time."
        )
        checked.skipped.append(draft.skipped(reason, is_failure=True))
    is_less, checked.drafts = len(left) < len(checked.drafts), left
    return is_less


def slots_to_release(decided: Decided, kept: Iterable[Reservation]) -> list[Reservation]:
    """The slots of what is not wanted any more. What has a fixed time has none: one of the same video is another's."""
    dropped = {draft.post for draft in decided.dropped if draft.when is None}
    return [slot for slot in kept if slot.post in dropped]


def as_asked(drafts: Iterable[Draft], asked: Iterable[Approval]) -> list[Draft]:
    """The drafts that were asked about, under the row numbers that were shown: the plan may have changed since."""
    numbers = {each.digest: each.number for each in asked}
    return [
        replace(draft, row=replace(draft.row, number=numbers[digest]))
        for draft in drafts
        if (digest := digest_of(draft)) in numbers
    ]


def read_answer(answer: GivenAnswer, asked: Sequence[Draft], gone: Collection[int] = ()) -> Answers:
    """What an answer decides about the drafts that were asked about.

    Args:
        answer: The answer.
        asked: Under the row numbers that were shown: see `as_asked`.
        gone: The numbers of rows that were shown and that the plan no longer has. What is said of them is ignored.

    Raises:
        InputError: it names a row that was not asked about, or a caption that is too long; in one sentence.
    """
    if not answer.approves:
        return {digest_of(draft): (Answer.DROPPED, None) for draft in asked}
    rows = {draft.row.number for draft in asked}
    dropped, named = _numbers(answer.drop), {change.row for change in answer.captions}
    if strange := sorted((dropped | named) - rows.union(gone)):
        shown_ones = ", ".join(map(str, sorted(rows.union(gone))))
        raise InputError(f"Row {strange[0]} is not one of the rows to approve: {shown_ones}.")
    found: Answers = {}
    for draft in asked:
        if draft.row.number in dropped:
            found[digest_of(draft)] = (Answer.DROPPED, None)
            continue
        caption = _caption_for(draft, answer.captions)
        if caption is not None:
            check_caption(caption, [draft.account])
        found[digest_of(draft)] = (Answer.APPROVED, caption)
    for change in answer.captions:
        platforms = {draft.account.platform.casefold() for draft in asked if draft.row.number == change.row}
        if change.row in rows and change.platform and change.platform.casefold() not in platforms:
            raise InputError(f"Row {change.row} is not posted to {one_line(change.platform, 40)!r}.")
    return found


def _caption_for(draft: Draft, changes: Sequence[CaptionChange]) -> str | None:
    """The changed caption for a draft: that for its platform before that for all; None if it stays."""
    own = [c for c in changes if c.row == draft.row.number]
    for platform in (draft.account.platform.casefold(), ""):
        if found := [change for change in own if change.platform.casefold() == platform]:
            return found[-1].caption
    return None


def _numbers(text: str) -> set[int]:
    found = set[int]()
    joined = re.sub(r"\s*[-–]\s*", "-", _WORDS.sub(" ", text))
    for part in re.split(r"[,;\s]+", joined.strip()):
        if not part:
            continue
        match = _RANGE.fullmatch(part)
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise InputError(f"{one_line(part, 40)!r} is not a row number or a range. Write them like 3, 5-7.")
        found |= set(range(int(match[1]), int(match[2] or match[1]) + 1))
    return found


def describe_question(checked: CheckedPlan, asked: Sequence[Draft]) -> str:
    """What is asked, in one line."""
    rows, accounts = len({draft.row.number for draft in asked}), len({draft.account.id for draft in asked})
    known = len({each.number for each in checked.known})
    again = f"{'was' if known == 1 else 'were'} sent before and {'is' if known == 1 else 'are'} not sent again"
    more = f" {count(known, 'row')} {again}." if known else ""
    return f"{count(rows, 'row')} to approve, for {count(accounts, 'account')}.{more}"
