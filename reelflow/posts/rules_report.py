"""What changed of Taisly's repost rules, what that means, and what may be unwanted: for people."""

from __future__ import annotations

from contextlib import suppress

from pydantic import BaseModel, ConfigDict, Field

from reelflow.errors import ReelflowError
from reelflow.posts.repost_rules import UNCHANGED, RulePlan
from reelflow.posts.rule_changes import Copies, changes_to, circle_in, copied_twice, copies_of, ways_twice
from reelflow.wording import all_of, count, listed


class RuleLine(BaseModel):
    """The posts of one account, and where they are copied to, now and then; each target as people read it."""

    model_config = ConfigDict(frozen=True)

    source: str
    before: list[str]
    after: list[str]


class RulesReport(BaseModel):
    """What a run that changes repost rules did, or would do."""

    model_config = ConfigDict(frozen=True)

    dry_run: bool
    summary: str
    lines: list[RuleLine]
    done: list[str] = Field(default_factory=list, description="The changes that were made, in their order.")
    left: list[str] = Field(default_factory=list, description="The changes that were not made.")
    notes: list[str] = Field(default_factory=list, description="What the changes mean, and what may be unwanted.")
    failure: str = ""


def report_of(plan: RulePlan, *, dry_run: bool, failure: str = "") -> RulesReport:
    """The report: of a check, what the rules will be; otherwise, what they are.

    Args:
        plan: As it was checked, or carried out.
        dry_run: Whether nothing was to be changed.
        failure: Why not all was changed.
    """
    then = plan.target(plan.before) if dry_run else copies_of(plan.after)
    done = [plan.sentence(change, is_done=True) for change in plan.done]
    left = [plan.sentence(change) for change in plan.left()] if dry_run or failure else []
    return RulesReport(
        dry_run=dry_run,
        summary=failure or _summary(plan, then, left, dry_run=dry_run),
        lines=_lines(plan, copies_of(plan.before), then),
        done=done,
        left=left,
        notes=[*(meaning_of(plan) if dry_run else ()), *warnings_of(plan)],
        failure=failure,
    )


def _summary(plan: RulePlan, then: Copies, left: list[str], *, dry_run: bool) -> str:
    there_are = f"Taisly copies the posts of {count(len(then), 'account')}" if then else "Taisly has no repost rules"
    if not dry_run and not plan.done:
        return "The repost rules already match the list. Nothing had to be changed."
    if not dry_run:
        done = [plan.sentence(change, is_done=True) for change in plan.done]
        return f"{count(len(done), 'change')} made: {listed(done, '; ')}."
    if not plan.wanted and not left:
        return f"Dry run: nothing was changed. {there_are}."
    if not left:
        return "Dry run: nothing was changed. The repost rules already match the list."
    return f"Dry run: nothing was changed. Would make {count(len(left), 'change')}: {listed(left, '; ')}."


def _lines(plan: RulePlan, before: Copies, after: Copies) -> list[RuleLine]:
    return [
        RuleLine(source=plan.name(s), before=_targets(plan, before.get(s, {})), after=_targets(plan, after.get(s, {})))
        for s in sorted(before | after, key=plan.name)
    ]


def _targets(plan: RulePlan, targets: dict[str, bool]) -> list[str]:
    return [plan.name(target) + (" (paused)" if paused else "") for target, paused in targets.items()]


def progress_sentence(plan: RulePlan) -> str:
    """After a failure: what was changed, what was not, and how to go on."""
    done = [plan.sentence(change, is_done=True) for change in plan.done]
    with suppress(ReelflowError):
        if left := [plan.sentence(change) for change in plan.left() if change not in plan.done]:
            done.append("Not done: " + "; ".join(left))
    parts = done if plan.done else [UNCHANGED.rstrip("."), *done]
    return ". ".join(parts) + ". Start it again to finish the rest."


def meaning_of(plan: RulePlan) -> list[str]:
    """What the changes mean for the posts of the accounts, a sentence each."""
    found = [
        f"Every post to {plan.name(source)}, whoever publishes it, is then posted to "
        f"{all_of([plan.name(each) for each in fresh])}, too"
        for source, fresh in plan.fresh().items()
        if fresh
    ]
    for change in changes_to(plan.before, plan.target(plan.before), plan.wanted):
        if change.then_pause:
            rule = plan.arrow(change.source, change.targets)
            found.append(f"{rule} is added, then paused immediately: Taisly copies a post published in between")
        elif change.in_place_of:
            rule = plan.arrow(change.source, change.targets)
            found.append(f"{rule} replaces a larger rule: a post published between the two changes is not copied")
    return found


def warnings_of(plan: RulePlan) -> list[str]:
    """What may be unwanted about the rules that there will be, a sentence each."""
    then = plan.target(plan.before)
    found: list[str] = []
    if circle := circle_in(then):
        found.append(f"The rules copy posts in a circle: {' → '.join(map(plan.name, circle))}. Remove one of them")
    stays = {source: targets for source, targets in then.items() if source not in plan.wanted}
    if plan.wanted:
        found += [
            f"Not in the list, so it stays: {plan.arrow(source, list(targets))}" for source, targets in stays.items()
        ]
    for source, targets in sorted(then.items()):
        if not {source, *targets} <= set(plan.names):
            found.append(
                f"A rule names a disconnected account: {plan.arrow(source, list(targets))}. Connect it again in "
                "Taisly, or turn on 'Remove rules of disconnected accounts'"
            )
    twice = [pair for pair in copied_twice(plan.before) if pair[0] in stays]
    found += [
        f"Two rules copy {plan.name(source)} to {plan.name(target)}, so each post arrives there twice. Add a row for "
        f"{plan.name(source)}, and one of them is removed"
        for source, target in twice
    ]
    found += [
        f"Posts to {plan.name(source)} may arrive at {plan.name(target)} in two ways. Whether Taisly copies what a "
        "rule has copied is not documented: remove or pause one of the ways"
        for source, target in ways_twice(then)
    ]
    return found
