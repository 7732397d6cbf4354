"""From the repost rules that there are to those that are wanted: what is changed, and in which order."""

import itertools
import random
from collections import Counter
from collections.abc import Iterator

import pytest

from reelflow.posts.rule_changes import (
    Change,
    Copies,
    Kind,
    changes_to,
    circle_in,
    copied_twice,
    copies_of,
    wanted_copies,
    ways_twice,
)
from reelflow.taisly.wire import RepostRule

ACCOUNTS = "abcde"
_NUMBERS = itertools.count()


def rule(source: str, targets: str, *, paused: bool = False, rule_id: str = "") -> RepostRule:
    return RepostRule(id=rule_id or f"{source}-{targets}", source=source, targets=tuple(targets), paused=paused)


def told(changes: list[Change]) -> list[str]:
    return [f"{each.kind} {each.source}->{''.join(each.targets)}" for each in changes]


def carried_out(rules: list[RepostRule], change: Change) -> list[RepostRule]:
    """The rules after one request, as Taisly documents it."""
    others = [each for each in rules if each.id != change.rule_id]
    match change.kind:
        case Kind.ADD:
            return [*rules, rule(change.source, "".join(change.targets), rule_id=f"new {next(_NUMBERS)}")]
        case Kind.REMOVE:
            return others
        case _:
            (changed,) = (each for each in rules if each.id == change.rule_id)
            return [*others, changed.model_copy(update={"paused": change.kind is Kind.PAUSE})]


def states(rules: list[RepostRule], target: Copies, listed: set[str], *, stops: random.Random) -> Iterator[list]:
    """The rules after each request, until nothing is to be changed; at random moments, all is read and begun again."""
    for _ in range(100):
        changes = changes_to(rules, target, listed)
        if not changes:
            return
        for change in changes:
            rules = carried_out(rules, change)
            yield rules
            if change.then_pause or stops.random() < 0.3:
                break
    pytest.fail("It does not come to an end.")


def _random_rules(chance: random.Random) -> list[RepostRule]:
    found: list[RepostRule] = []
    for _ in range(chance.randint(0, 5)):
        source = chance.choice(ACCOUNTS)
        targets = "".join(chance.sample([a for a in ACCOUNTS if a != source], chance.randint(1, 3)))
        found.append(rule(source, targets, paused=chance.random() < 0.3, rule_id=str(len(found))))
        if circle_in(copies_of(found)):
            found.pop()
    return found


def _active(rules: list[RepostRule]) -> Counter[tuple[str, str]]:
    return Counter((each.source, target) for each in rules if not each.paused for target in each.targets)


@pytest.mark.parametrize("seed", range(300))
def test_wherever_it_stops_nothing_is_lost_doubled_or_circular_and_it_can_be_finished(seed: int) -> None:
    """Random rules, wanted rules and interruptions."""
    chance = random.Random(seed)
    before, wanted_rules = _random_rules(chance), _random_rules(chance)
    wanted, remove_others = copies_of(wanted_rules), chance.random() < 0.5
    wanted |= {name: {} for name in ACCOUNTS if name not in wanted and chance.random() < 0.2}
    target = wanted_copies(before, wanted, remove_others=remove_others)
    if circle_in(target):
        target = wanted = copies_of(wanted_rules)
        target = wanted_copies(before, wanted, remove_others=True)
    listed, old, last = set(wanted), _active(before), before

    for last in states(before, target, listed, stops=chance):
        now = _active(last)
        assert all(number <= max(1, old[pair]) for pair, number in now.items())
        assert not circle_in(copies_of(last))
        for source, targets in copies_of(before).items():
            still = set(targets) & set(target.get(source, {}))
            assert still <= set(copies_of(last).get(source, {}))

    assert copies_of(last) == target
    assert not {pair for pair in copied_twice(last) if pair[0] in listed}
    assert changes_to(last, target, listed) == []


@pytest.mark.parametrize(
    ("current", "wanted", "expected"),
    [
        ([], {"a": {"b": False, "c": False}}, ["add a->bc"]),
        ([rule("a", "b")], {"a": {"b": False}}, []),
        ([rule("a", "b")], {"a": {}}, ["remove a->b"]),
        ([rule("a", "b")], {"a": {"b": True}}, ["pause a->b"]),
        ([rule("a", "b", paused=True)], {"a": {"b": False}}, ["resume a->b"]),
        ([rule("a", "b")], {"a": {"b": False, "c": False}}, ["add a->c"]),
        ([rule("a", "bc")], {"a": {"b": False}}, ["pause a->bc", "add a->b", "remove a->bc"]),
        ([rule("a", "b"), rule("a", "c")], {"a": {"b": False, "c": False}}, []),
        ([rule("a", "b"), rule("a", "bc")], {"a": {"b": False, "c": False}}, ["remove a->b"]),
        ([rule("a", "b", rule_id="1"), rule("a", "b", rule_id="2")], {"a": {"b": False}}, ["remove a->b"]),
        ([rule("a", "b")], {"b": {"a": False}, "a": {}}, ["remove a->b", "add b->a"]),
        ([rule("c", "d")], {"a": {"b": False}}, ["add a->b"]),
        ([rule("a", "b", paused=True)], {"c": {"d": False}}, ["add c->d"]),
    ],
    ids=["new", "the same", "none", "pause", "resume", "one more", "one less", "two rules", "covered twice",
         "twice the same", "turned round", "others stay", "others stay paused"],
)  # fmt: skip
def test_the_changes_are_as_few_as_taislys_requests_allow(
    current: list[RepostRule], wanted: Copies, expected: list[str]
) -> None:
    """Several rules of one source count as one; a part of a rule is removed by putting another one in its place."""
    assert told(changes_to(current, wanted_copies(current, wanted), wanted)) == expected


def test_a_rule_that_is_to_be_paused_is_added_and_then_paused() -> None:
    """Taisly adds every rule as active, and only a look at the rules tells the ID with which it is paused."""
    (added,) = changes_to([], {"a": {"b": True}})

    assert (added.kind, added.then_pause) == (Kind.ADD, True)
    assert told(changes_to([rule("a", "b")], {"a": {"b": True}})) == ["pause a->b"]


@pytest.mark.parametrize(
    ("copies", "circle"),
    [
        ({"a": "b"}, ""),
        ({"a": "a"}, "aa"),
        ({"a": "b", "b": "a"}, "aba"),
        ({"a": "b", "b": "c", "c": "a"}, "abca"),
        ({"a": "b", "b": "cd", "c": "e", "d": "b"}, "bdb"),
        ({"a": "bc", "b": "d", "c": "d"}, ""),
        ({"a": "b", "b": "c", "c": "d", "d": "e", "e": "a"}, "abcdea"),
    ],
)
def test_circles_of_any_length_are_found_and_named_from_end_to_end(copies: dict[str, str], circle: str) -> None:
    """The shortest one through its first account."""
    assert "".join(circle_in(copies)) == circle


def test_two_ways_to_one_account_are_named() -> None:
    """Whether Taisly copies what a rule has copied is not documented: a post might arrive twice."""
    copies = {"a": {"b": False, "c": False}, "b": {"d": False}, "c": {"d": False}}

    assert ways_twice(copies) == [("a", "d")]
    assert ways_twice(copies | {"c": {"d": True}}) == []
    assert copied_twice([rule("a", "b", rule_id="1"), rule("a", "bc", rule_id="2")]) == [("a", "b")]
