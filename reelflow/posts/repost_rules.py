"""Make Taisly's repost rules those of a list, and say what that means."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from reelflow.errors import InputError, OutcomeUnknown, Refused, ServiceError
from reelflow.fields import ALL
from reelflow.posts.accounts import account_names, gone_name
from reelflow.posts.clients import Client
from reelflow.posts.form import RepostRulesForm, RuleRow
from reelflow.posts.rate_limited import RateLimitedTaisly, active_copies
from reelflow.posts.reposts import arriving_twice
from reelflow.posts.rule_changes import (
    Change,
    Copies,
    Kind,
    changes_to,
    circle_in,
    copies_of,
    wanted_copies,
)
from reelflow.records.duplicates import UNSETTLED
from reelflow.records.post_states import PostState, may_be_claimed
from reelflow.records.posts import Account, Outcome, Send
from reelflow.taisly.client import TaislyClient
from reelflow.taisly.wire import RepostRule
from reelflow.time_zones import DAY, shown
from reelflow.transport import ANSWER_TIMEOUT

log = logging.getLogger(__name__)

UNCHANGED = "Nothing was changed."
SETTLE_SECONDS = 5.0
"""Seconds after a lost answer until the rules are read: the request may still be at work."""
LOST_ANSWERS = 3
"""How many answers in one run may be lost before it gives up."""
MOST_READS = 40
"""How often the rules are read before it gives up, besides once for each change."""


@dataclass
class RulePlan:
    """What a list asks for, checked against the rules and accounts of now.

    Attributes:
        before: The rules as they were.
        wanted: What is to be copied from each account that the list names, or from which something is to be removed.
        remove_others: Whether accounts that `wanted` does not name are copied nowhere.
        names: Of the connected accounts, by ID.
        after: The rules as they were last read.
        done: What was changed so far.
    """

    before: list[RepostRule]
    wanted: Copies
    remove_others: bool
    names: dict[str, str]
    after: list[RepostRule]
    done: list[Change] = field(default_factory=list)

    def target(self, rules: Sequence[RepostRule]) -> Copies:
        """What the rules are to copy in the end, if they are these by now."""
        return wanted_copies(rules, self.wanted, remove_others=self.remove_others)

    def fresh(self) -> Copies:
        """What will be copied that is not copied now."""
        now = copies_of(self.before)
        return {
            source: {t: paused for t, paused in targets.items() if not paused and now.get(source, {}).get(t, True)}
            for source, targets in self.target(self.before).items()
        }

    def left(self) -> list[Change]:
        """What is still to be changed, as far as is known."""
        return changes_to(self.after, self.target(self.after), self.wanted)

    def name(self, account: str) -> str:
        """An account as people know it."""
        return self.names.get(account) or gone_name(account)

    def sentence(self, change: Change, *, is_done: bool = False) -> str:
        """What one request changes, or has changed: "Add TikTok @a → X @b".

        One still to be made says "(paused)" of a rule that is paused right after it was added.
        """
        paused = " (paused)" if change.then_pause and not is_done else ""
        return f"{_WORDS[change.kind][is_done]} {self.arrow(change.source, change.targets)}{paused}"

    def arrow(self, source: str, targets: Collection[str]) -> str:
        """A rule in one line."""
        return f"{self.name(source)} → {', '.join(map(self.name, targets))}"


_WORDS = {
    Kind.ADD: ("Add", "Added"),
    Kind.REMOVE: ("Remove", "Removed"),
    Kind.PAUSE: ("Pause", "Paused"),
    Kind.RESUME: ("Resume", "Resumed"),
}


def check_rules(taisly: RateLimitedTaisly, form: RepostRulesForm, *, patience: float = 0.0) -> RulePlan:
    """Read the rules and the accounts from Taisly, two requests, and check the list against them. Changes nothing.

    Raises:
        InputError: a row names no connected account, the rules would lead in a circle, or they would bring a post to an
            account twice that Taisly already has for later; each wrong row is named.
        ServiceError: Taisly does not answer, or does not show its rules.
    """
    accounts = taisly.ask_accounts(patience)
    rules = taisly.repost_rules(patience=patience)
    names = dict(zip((a.id for a in accounts), account_names(accounts), strict=True))
    plan = RulePlan(rules, _read_rows(form.rules, accounts, taisly.whose), form.remove_others, names, rules)
    if form.remove_gone:
        plan.wanted |= _without_gone(plan)
    if plan.wanted or plan.remove_others:
        check_circle(plan, rules)
    _check_posts_underway(taisly, plan)
    return plan


def _read_rows(rows: Sequence[RuleRow], accounts: Sequence[Account], client: Client) -> Copies:
    """What the rows say, of all rows of one account together."""
    wanted: Copies = {}
    wrong: list[str] = []
    for number, row in enumerate(rows, 1):
        try:
            source, targets = _read_row(row, accounts, client)
            said = wanted.setdefault(source.id, {})
            wrong += [
                f"Rule {number}: {source.label} → {target.label} is paused in one row and active in another."
                for target in targets
                if said.setdefault(target.id, row.paused) is not row.paused
            ]
        except InputError as error:
            wrong.append(f"Rule {number}: {error}")
    if wrong:
        raise InputError(" ".join([*wrong, UNCHANGED]))
    return wanted


def _read_row(row: RuleRow, accounts: Sequence[Account], client: Client) -> tuple[Account, list[Account]]:
    sources = client.choose([row.source], accounts)
    if len(sources) > 1:
        raise InputError(f"'From' takes one account, and {row.source!r} names {len(sources)}. Add a row for each.")
    (source,) = sources
    if not any(name.strip() for name in row.targets):
        return source, []
    targets = client.choose(row.targets, accounts)
    if [name.rpartition(":")[2].strip().casefold() for name in row.targets] == [ALL]:
        return source, [account for account in targets if account != source]
    if source in targets:
        raise InputError(f"{source.label} cannot be copied to itself. Remove it from 'To'.")
    return source, targets


def _without_gone(plan: RulePlan) -> Copies:
    """What sources that the list does not name are to copy, if an account of their rules is gone: the rest."""
    found = copies_of(plan.before)
    known = set(plan.names)
    return {
        source: {t: paused for t, paused in targets.items() if t in known} if source in known else {}
        for source, targets in found.items()
        if source not in plan.wanted and not {source, *targets} <= known
    }


def check_circle(plan: RulePlan, rules: Sequence[RepostRule]) -> None:
    """Raise InputError if the rules, paused ones counted, would lead in a circle in the end."""
    if circle := circle_in(plan.target(rules)):
        way = " → ".join(map(plan.name, circle))
        raise InputError(
            f"These rules would copy posts in a circle: {way}.{'' if plan.done else f' {UNCHANGED}'} Remove one of "
            "them from the list; or, if none of them is in it, turn on 'Remove all other rules'."
        )


def _check_posts_underway(taisly: RateLimitedTaisly, plan: RulePlan) -> None:
    """Raise InputError if a new copy would double a post that is scheduled, or has no outcome yet.

    When it was sent, there was no such rule, so it was not refused.
    """
    before = active_copies(plan.before)
    after = [(s, t) for s, targets in plan.target(plan.before).items() for t, paused in targets.items() if not paused]
    if set(after) <= set(before):
        return
    for sends in _underway(taisly).values():
        open_at = {outcome.account.id: send for send, outcome in sends if outcome.state in UNSETTLED}
        settled = {outcome.account.id for _, outcome in sends} - set(open_at)  # out already: copied nowhere any more
        posted = [*open_at, *sorted(settled)]
        now, then = ([(s, t) for s, t in copied if s not in settled] for copied in (before, after))
        doubled = arriving_twice(posted, now)
        for target, (way, *others) in arriving_twice(posted, then).items():
            if target in doubled:
                continue
            send = open_at[way]
            when = f"on {shown(send.scheduled_for)}" if send.scheduled_for else "now"
            too = "it goes there anyway" if target in posted else f"from {plan.name(others[0])}, too"
            raise InputError(
                f"{send.file_name} would be posted twice to {plan.name(target)}: it is published to {plan.name(way)} "
                f"{when}, the rules would copy it from there, and {too}. {UNCHANGED} Cancel that post, add the rule as "
                "paused, or add it once the post is out."
            )


def _underway(taisly: RateLimitedTaisly) -> dict[str, list[tuple[Send, Outcome]]]:
    """By video, where it is out since yesterday or may be, or is scheduled to be."""
    ledger, found = taisly.ledger, dict[str, list[tuple[Send, Outcome]]]()
    for send, outcomes in ledger.recent_sends(ledger.now() - DAY):
        for outcome in outcomes if send.service == taisly.service else ():
            if may_be_claimed(outcome.state, lease_until=send.lease_until, sealed_at=send.sealed_at, now=ledger.now()):
                continue
            if outcome.state in UNSETTLED | {PostState.SUCCESS}:
                found.setdefault(send.sha256, []).append((send, outcome))
    return found


def apply_rules(
    taisly: RateLimitedTaisly, plan: RulePlan, *, patience: float = 0.0, lost_after: float = ANSWER_TIMEOUT
) -> None:
    """Change the rules step by step; `plan.done` and `plan.after` say how far it came, whatever happens.

    The rules are read first, after each lost answer, and in the end. So nothing is done twice, and calling it again
    goes on where it stopped. Rules that somebody changes meanwhile are respected, unless the list names their account.

    Args:
        taisly: With the ledger.
        plan: As it was checked.
        patience: Seconds to wait for room in the Taisly plan, for each request.
        lost_after: Seconds after the lost answer to a rule that is added until the rules are read: if it arrived later
            than that, there would be two. Any other change may be made twice.

    Raises:
        InputError: rules that somebody has changed since the check would close a circle.
        Refused: Taisly refused a change. What was paused for it is resumed.
        OutcomeUnknown: several answers were lost.
        NothingSent: Taisly cannot be reached, or is busy.
    """
    lost, lost_change = 0, None
    most = MOST_READS + len(plan.left())
    for _ in range(most):
        plan.after = taisly.repost_rules(patience=patience)
        check_circle(plan, plan.after)
        changes = plan.left()
        if lost_change is not None and lost_change not in changes:
            plan.done.append(lost_change)  # it has arrived all the same
        lost_change = None
        if not changes:
            return
        for change in changes:
            try:
                _send(taisly, change, patience)
            except OutcomeUnknown as error:
                lost, lost_change = lost + 1, change
                if lost > LOST_ANSWERS:
                    raise
                log.warning("%s: %s Reading the rules before going on.", plan.sentence(change), error)
                taisly.sleep(lost_after if change.kind is Kind.ADD else SETTLE_SECONDS)
                break
            except Refused:
                _restore(taisly, plan, change, patience)
                raise
            plan.done.append(change)
            log.info("%s.", plan.sentence(change, is_done=True))
            if change.then_pause:
                break
    raise OutcomeUnknown(f"The rules were read {most} times, and are still not those of the list.")


def _send(taisly: RateLimitedTaisly, change: Change, patience: float) -> None:
    def request(client: TaislyClient) -> None:
        match change.kind:
            case Kind.ADD:
                client.add_repost(change.source, change.targets)
            case Kind.REMOVE:
                client.delete_repost(change.rule_id)
            case Kind.PAUSE | Kind.RESUME:
                client.pause_repost(change.rule_id, paused=change.kind is Kind.PAUSE)

    taisly.change_rule(request, patience)


def _restore(taisly: RateLimitedTaisly, plan: RulePlan, refused: Change, patience: float) -> None:
    """Resume what was paused for a change that Taisly refused, and read the rules as they are now."""
    with suppress(ServiceError):
        for rule in [rule for rule in plan.after if rule.id in refused.in_place_of]:
            resumption = Change(Kind.RESUME, rule.source, rule.targets, rule.id)
            _send(taisly, resumption, patience)
            plan.done.append(resumption)
        plan.after = taisly.repost_rules(patience=patience)
