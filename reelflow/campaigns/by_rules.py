"""Accounts of a row to which a repost rule copies its post anyway."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, groupby

from reelflow.campaigns.form import CampaignForm
from reelflow.campaigns.posts import CheckedPlan, Draft, problem_of
from reelflow.campaigns.rows import RowProblem
from reelflow.errors import NothingSent, OutcomeUnknown
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.posts.reposts import Split, split_by_rules
from reelflow.records.posts import Account, own_repeat

CODE = "repost_rule"


def without_copied(
    drafts: Sequence[Draft], left: Sequence[Draft], split: Callable[[Sequence[Account]], Split], found: CheckedPlan
) -> tuple[list[Draft], list[RowProblem]]:
    """The drafts that are to be sent, and the problems of rows whose posts would arrive twice.

    What a rule takes care of goes into `found`.

    Args:
        drafts: Of all rows, each row's together.
        left: Those of them that are to be sent now: a row without any is not looked at.
        split: Which of a row's accounts are sent to.
        found: What the check has found.
    """
    wanted, problems, kept = {draft.row.number for draft in left}, list[RowProblem](), list(left)
    for number, some in groupby(drafts, key=lambda draft: draft.row.number):
        if number not in wanted:
            continue
        decided = split([draft.account for draft in some])
        if decided.reason:
            problems.append(problem_of(number, "accounts", CODE, decided.reason))
        by_rule = {each.account.id: each.sentence for each in decided.left}
        for draft in left if by_rule else ():
            if draft.row.number == number and draft.account.id in by_rule:
                kept.remove(draft)
                found.skipped.append(draft.skipped(f"{by_rule[draft.account.id]}."))
    by_accounts = dict[tuple[str, str], Split]()  # a plan may have a thousand rows with one video
    for first, second in _same_video(kept):
        pair = first.account.id, second.account.id
        if pair not in by_accounts:
            by_accounts[pair] = split([first.account, second.account])
        decided = by_accounts[pair]
        if decided.reason:
            told = f"{decided.reason} Row {first.row.number} has the same video."
            problems.append(problem_of(second.row.number, "accounts", CODE, told))
        for each in decided.left:
            draft = first if each.account == first.account else second
            if draft in kept:
                kept.remove(draft)
                found.skipped.append(draft.skipped(f"{each.sentence}."))
    return kept, problems


def _same_video(drafts: Sequence[Draft]) -> Iterator[tuple[Draft, Draft]]:
    """Pairs of drafts of different rows that post one video to two accounts, neither of them again on purpose."""
    by_video: dict[str, list[Draft]] = {}
    for draft in drafts:
        if not own_repeat(draft.repeat):
            by_video.setdefault(draft.video.sha256, []).append(draft)
    for some in by_video.values():
        for first, second in combinations(some, 2):
            if first.row.number != second.row.number and first.account != second.account:
                yield first, second


def look_at_rules_again(
    taisly: RateLimitedTaisly, form: CampaignForm, checked: CheckedPlan, *, patience: float = 0.0
) -> None:
    """Apply the rules of now to what is about to be sent: hours may have passed since the check, for the approval.

    Costs a request only if they were last read more than ten minutes ago. What changes goes into `checked`.

    Raises:
        NothingSent: the rules cannot be read now.
    """
    try:
        copied = taisly.copied_accounts(patience=patience)
    except OutcomeUnknown as error:  # only a read: it is safe to repeat
        raise NothingSent(f"Nothing was sent, because Taisly's repost rules cannot be read: {error}") from None
    drafts, connected = checked.right_drafts(), [draft.account for draft in checked.drafts]
    left, problems = without_copied(
        drafts,
        drafts,
        lambda accounts: split_by_rules(accounts, copied, form.copied_by_rule, connected=connected),
        checked,
    )
    dropped = {id(draft) for draft in drafts} - {id(draft) for draft in left}
    checked.drafts = [draft for draft in checked.drafts if id(draft) not in dropped]
    checked.problems += problems
