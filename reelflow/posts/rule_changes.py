"""From the repost rules that there are to those that are wanted: which changes, in which order. Pure decisions.

Taisly has no edit, adds every rule as active, and may copy a post between any two requests. So the order keeps three
promises, whenever it stops: no account gets a copy from two active rules that did not before, there is no circle that
was not there before, and no wanted copy is forgotten, for a rule is deleted only once others have taken over what is
wanted of it. Starting again from whatever there is then finishes the job.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from reelflow.taisly.wire import RepostRule

Copies = dict[str, dict[str, bool]]
"""What is copied, in account IDs: from each source to its targets, with whether that is paused."""


class Kind(StrEnum):
    """What one request to Taisly changes."""

    ADD = "add"
    REMOVE = "remove"
    PAUSE = "pause"
    RESUME = "resume"


@dataclass(frozen=True)
class Change:
    """One request to Taisly.

    Attributes:
        kind: What it does.
        source: The account whose posts are copied.
        targets: Where to.
        rule_id: Of the rule that it changes; empty for one that is added.
        then_pause: Whether the added rule has to be paused next, which takes its ID.
        in_place_of: Ids of rules that were paused for it, to be resumed if it is refused.
    """

    kind: Kind
    source: str
    targets: tuple[str, ...]
    rule_id: str = ""
    then_pause: bool = False
    in_place_of: tuple[str, ...] = ()


def copies_of(rules: Iterable[RepostRule]) -> Copies:
    """What rules copy; a copy that one of them makes and another one pauses is made."""
    found: Copies = {}
    for rule in rules:
        targets = found.setdefault(rule.source, {})
        for target in rule.targets:
            targets[target] = rule.paused and targets.get(target, True)
    return {source: targets for source, targets in found.items() if targets}


def wanted_copies(current: Sequence[RepostRule], wanted: Copies, *, remove_others: bool = False) -> Copies:
    """What is to be copied in the end, of every source.

    Args:
        current: The rules at Taisly.
        wanted: What the list says. It says all of a source that it names: nothing, for one without targets.
        remove_others: Whether sources that the list does not name are copied nowhere; else they stay as they are.
    """
    others = {} if remove_others else copies_of(current)
    return {source: targets for source, targets in (others | wanted).items() if targets}


def changes_to(current: Sequence[RepostRule], target: Copies, listed: Collection[str] = ()) -> list[Change]:
    """The changes after which the rules copy `target`, in their order.

    After adding a rule that has to be paused, read the rules and ask again.

    Args:
        current: The rules at Taisly.
        target: What is to be copied, of every source.
        listed: Sources that a person has named. Where others copy `target` already, they stay as they are, also if they
            copy something twice.
    """
    now = copies_of(current)
    sources = {s for s in {rule.source for rule in current} | set(target) if s in listed or now.get(s) != target.get(s)}
    plans = [
        _Plan.of(source, [rule for rule in current if rule.source == source], target.get(source, {}))
        for source in sorted(sources)
    ]
    return [
        *(change for plan in plans for change in plan.pauses()),
        *(change for plan in plans for change in plan.removals()),
        *(change for plan in plans for change in plan.replacements()),
        *(change for plan in plans for change in plan.additions()),
        *(change for plan in plans for change in plan.resumptions()),
    ]


@dataclass(frozen=True)
class _Plan:
    """The changes of one source.

    Attributes:
        source: The account whose posts are copied.
        wanted: Its targets, with whether each is paused.
        kept: The rules that stay, together covering nothing twice.
        surplus: The rules that are deleted.
    """

    source: str
    wanted: Mapping[str, bool]
    kept: tuple[RepostRule, ...]
    surplus: tuple[RepostRule, ...]

    @classmethod
    def of(cls, source: str, rules: Sequence[RepostRule], wanted: Mapping[str, bool]) -> _Plan:
        kept, covered = list[RepostRule](), set[str]()
        for rule in sorted(rules, key=lambda each: _worth(each, wanted)):
            if _fits(rule, wanted) and not covered & set(rule.targets):
                kept.append(rule)
                covered |= set(rule.targets)
        surplus = tuple(rule for rule in rules if rule not in kept)
        return cls(source, wanted, tuple(kept), surplus)

    def _missing(self) -> dict[str, bool]:
        covered = {target for rule in self.kept for target in rule.targets}
        return {target: paused for target, paused in self.wanted.items() if target not in covered}

    def _replaced(self) -> tuple[RepostRule, ...]:
        """Rules to be deleted of which a part is wanted: a new rule takes over first."""
        return tuple(rule for rule in self.surplus if set(rule.targets) & set(self._missing()))

    def _taken_over(self) -> dict[str, bool]:
        """What is missing once those are deleted."""
        old = {target for rule in self._replaced() for target in rule.targets}
        return {target: paused for target, paused in self._missing().items() if target in old}

    def pauses(self) -> Iterator[Change]:
        for rule in self.kept:
            if self.wanted[rule.targets[0]] and not rule.paused:
                yield self._change(Kind.PAUSE, rule)
        for rule in self._replaced():
            if not rule.paused:
                yield self._change(Kind.PAUSE, rule)

    def removals(self) -> Iterator[Change]:
        for rule in self.surplus:
            if rule not in self._replaced():
                yield self._change(Kind.REMOVE, rule)

    def replacements(self) -> Iterator[Change]:
        replaced = self._replaced()
        yield from self._adds(self._taken_over(), tuple(rule.id for rule in replaced if not rule.paused))
        for rule in replaced:
            yield self._change(Kind.REMOVE, rule)

    def additions(self) -> Iterator[Change]:
        taken_over = self._taken_over()
        yield from self._adds({t: paused for t, paused in self._missing().items() if t not in taken_over}, ())

    def resumptions(self) -> Iterator[Change]:
        for rule in self.kept:
            if rule.paused and not self.wanted[rule.targets[0]]:
                yield self._change(Kind.RESUME, rule)

    def _adds(self, targets: Mapping[str, bool], in_place_of: tuple[str, ...]) -> Iterator[Change]:
        """One rule for what is active, then one for what is paused."""
        for paused in (False, True):
            if some := tuple(target for target, is_paused in targets.items() if is_paused is paused):
                yield Change(Kind.ADD, self.source, some, then_pause=paused, in_place_of=in_place_of)

    def _change(self, kind: Kind, rule: RepostRule) -> Change:
        return Change(kind, rule.source, rule.targets, rule.id)


def _fits(rule: RepostRule, wanted: Mapping[str, bool]) -> bool:
    """Whether all that a rule copies is wanted, and all of it paused or none; and it names nothing twice."""
    states = {wanted.get(target) for target in rule.targets}
    return (
        bool(rule.targets) and len(states) == 1 and None not in states and len(set(rule.targets)) == len(rule.targets)
    )


def _worth(rule: RepostRule, wanted: Mapping[str, bool]) -> tuple[bool, int, str]:
    """Kept first: what need not be paused or resumed, and what covers most."""
    is_right = bool(rule.targets) and wanted.get(rule.targets[0]) is rule.paused
    return not is_right, -len(rule.targets), rule.id


def circle_in(copies: Mapping[str, Collection[str]]) -> list[str]:
    """The accounts of a circle, from one of them back to itself; empty if there is none.

    The shortest one through the first account, by ID, that is in any; one account that copies to itself counts.
    """
    for start in sorted(copies):
        came_from: dict[str, str] = {}
        todo = [start]
        for at in todo:
            for target in sorted(copies.get(at, ())):
                if target == start:
                    return [start, *_way(came_from, start, at), start]
                if target not in came_from:
                    came_from[target] = at
                    todo.append(target)
    return []


def _way(came_from: Mapping[str, str], start: str, end: str) -> list[str]:
    """The accounts after `start` up to `end`."""
    way: list[str] = []
    while end != start:
        way.append(end)
        end = came_from[end]
    return way[::-1]


def copied_twice(rules: Sequence[RepostRule]) -> list[tuple[str, str]]:
    """What two active rules copy, or one that names an account twice: (from, to)."""
    pairs = [(rule.source, target) for rule in rules if not rule.paused for target in rule.targets]
    return sorted({pair for pair in pairs if pairs.count(pair) > 1})


def ways_twice(copies: Copies) -> list[tuple[str, str]]:
    """Where posts of an account might arrive in two ways, if Taisly copies what a rule has copied: (from, to)."""
    active = {s: {t for t, paused in targets.items() if not paused} for s, targets in copies.items()}
    found = set[tuple[str, str]]()
    for source in active:
        reached = {target: _reached_from(target, active) | {target} for target in active[source]}
        for target, beyond in reached.items():
            others = set().union(*(way for other, way in reached.items() if other != target))
            found |= {(source, account) for account in beyond & others}
    return sorted(found)


def _reached_from(account: str, active: Mapping[str, Collection[str]]) -> set[str]:
    seen, todo = set[str](), [account]
    while todo:
        fresh = set(active.get(todo.pop(), ())) - seen
        seen |= fresh
        todo += fresh
    return seen
