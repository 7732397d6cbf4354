"""Accounts on hold in a campaign: nothing is sent there until a person releases them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from reelflow.campaigns.form import CampaignForm
from reelflow.campaigns.posts import CheckedPlan, Draft, Held, problem_of
from reelflow.errors import InputError
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.records.holds import Hold
from reelflow.wording import one_line

REASON_SHOWN = 200
"""Characters of a reason in the sentence about a hold."""


def read_holds(
    taisly: RateLimitedTaisly, form: CampaignForm, found: CheckedPlan, *, patience: float = 0.0
) -> dict[str, Hold]:
    """The accounts that are on hold, by id, once those are released that the form names; a check only leaves them so.

    What was released, and a name that matches no account, goes into `found`.

    Raises:
        ServiceError: Taisly had to be asked for its accounts, and the request failed.
        LedgerUnavailable: the ledger cannot be used.
    """
    ledger, service = taisly.ledger, taisly.service
    held = {hold.account.id: hold for hold in ledger.on_hold(service)}
    if not form.release_accounts:
        return held
    try:
        wanted = taisly.choose_accounts(form.release_accounts, patience=patience)
    except InputError as error:
        found.problems.append(problem_of(0, "release accounts", "release", error))
        return held
    found.released = [held.pop(account.id) for account in wanted if account.id in held]
    if found.released and not form.dry_run:
        ledger.release_accounts(service, [hold.account.id for hold in found.released])
    return held


def without_held(drafts: Sequence[Draft], held: Mapping[str, Hold], found: CheckedPlan) -> list[Draft]:
    """The drafts whose accounts are not on hold; the others go into `found`, and take no slot."""
    left = []
    for draft in drafts:
        hold = held.get(draft.account.id)
        if hold is None:
            left.append(draft)
        else:
            at = draft.when if isinstance(draft.when, datetime) else None
            found.held.append(Held(draft.row.number, draft.video.name, draft.caption, at, hold))
    return left


def hold_sentence(hold: Hold) -> str:
    """What happened to an account, what it means, and what to do."""
    who, streak = hold.account.label, hold.streak
    reason = one_line(streak.reason, REASON_SHOWN).rstrip(".")
    why = f" ({reason})" if reason else ""
    return (
        f"{who} failed {streak.failures} times in a row{why}, so nothing more is sent there. Fix the cause: if its "
        "session expired, reconnect it in Taisly. Then release it: 'Release accounts' in the form, or "
        f'`reelflow release "{who}"`.'
    )


def release_note(released: Iterable[Hold], form: CampaignForm) -> str:
    """What the form's 'Release accounts' did; empty if it names none."""
    if not form.release_accounts:
        return ""
    names = ", ".join(hold.account.label for hold in released)
    if not names:
        return "None of the accounts to release is on hold."
    return f"{'Would be released' if form.dry_run else 'Released'}: {names}."
