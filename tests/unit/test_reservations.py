"""Slots in the ledger: the same post keeps its slot, and no two posts take the same one. SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.clock import Clock
from support.race import at_once

from reelflow.errors import InputError, LedgerUnavailable
from reelflow.ledger import Ledger, replace_ledger
from reelflow.records.campaigns import RowPost, SlotRequest, Taken, caption_fingerprint
from reelflow.records.post_states import PostState
from reelflow.records.posts import Account, PostRequest

SERVICE = "http://taisly"
HOUR = 3600.0
MARA, ADA = Account(id="t1", platform="TikTok", name="@mara"), Account(id="i1", platform="Instagram", name="@ada")
Post = Callable[..., PostRequest]


def wanted(video: str = "a", accounts: tuple[Account, ...] = (MARA,), **changes: Any) -> SlotRequest:
    """A post that needs a slot."""
    values: dict[str, Any] = {"campaign": "", "captions": {a.id: "one" for a in accounts}}
    return SlotRequest(sha256=video * 64, file=f"{video}.mp4", accounts=accounts, **(values | changes))


def each_hour(request: SlotRequest, taken: Taken, earliest: float) -> float:
    """The first full hour that none of the accounts has taken."""
    at = (earliest // HOUR + 1) * HOUR
    while any(at in taken[account.id] for account in request.accounts):
        at += HOUR
    return at


def reserve(ledger: Ledger, *requests: SlotRequest, **more: Any) -> list[Any]:
    return ledger.reserve(SERVICE, requests, each_hour, earliest=ledger.now(), **more)


def test_posts_of_one_account_take_one_slot_after_the_other(ledger: Ledger) -> None:
    """Two posts never share a slot; two accounts do not take each other's."""
    first, second, other = reserve(ledger, wanted("a"), wanted("b"), wanted("a", (ADA,)))

    assert (second - first, other) == (HOUR, first)


def test_the_same_plan_takes_no_second_slot(ledger: Ledger) -> None:
    """Every post finds the slot that it has, in whatever order the rows are now."""
    before = reserve(ledger, wanted("a"), wanted("b"))

    assert reserve(ledger, wanted("b"), wanted("c"), wanted("a")) == [before[1], before[1] + HOUR, before[0]]


def test_under_another_campaign_it_is_another_post(ledger: Ledger) -> None:
    """So is one that is sent once more on purpose."""
    (first,) = reserve(ledger, wanted("a"))

    later = reserve(ledger, wanted(campaign="spring"), wanted(repeat=1), wanted("a"))

    assert later == [first + HOUR, first + 2 * HOUR, first]


def test_a_slot_stays_with_its_post_when_the_caption_changes(ledger: Ledger) -> None:
    """A typo was corrected: no second slot is taken, and the first is not lost to everybody."""
    (first,) = reserve(ledger, wanted("a"))

    assert reserve(ledger, wanted(captions={MARA.id: "two"}), wanted("b")) == [first, first + HOUR]
    assert [kept.caption_sha256 for kept in ledger.reservations(SERVICE, ["a" * 64])] == [caption_fingerprint("two")]


def test_a_post_whose_run_died_keeps_its_slot_while_that_is_ahead(ledger: Ledger, clock: Clock, checked: Post) -> None:
    """It is sent in it by the next run, and nobody else gets it; once it has passed, it takes another."""
    (first,) = reserve(ledger, _of(checked()))
    send_id = _scheduled(ledger, checked, at=first, accepted=False)
    ledger.release_claim(send_id, "Taisly cannot be reached", owner="me")

    assert reserve(ledger, _of(checked()), wanted("b")) == [first, first + HOUR]

    clock.now = first + 1
    assert reserve(ledger, _of(checked())) == [first + 2 * HOUR]


def test_a_claim_that_came_to_nothing_takes_no_time(ledger: Ledger, checked: Post) -> None:
    """It has no slot; its own plan names its time when it is run again."""
    send_id = _scheduled(ledger, checked, at=ledger.now() + HOUR, accepted=False)
    ledger.release_claim(send_id, "not published", owner="me")

    assert ledger.taken_moments(SERVICE, {MARA.id}, {}) == {MARA.id: []}


def test_a_plan_is_not_compared_with_its_own_posts(ledger: Ledger, checked: Post) -> None:
    """Neither with what a live run is sending for it at this moment, nor with a slot that it had."""
    request = checked()
    (slot,) = reserve(ledger, _of(request))
    _scheduled(ledger, checked, at=slot + HOUR, accepted=False)
    reserve(ledger, wanted("b"))
    own = RowPost("", request.video.sha256, MARA.id, 0, slot + HOUR)

    assert list(ledger.taken_moments(SERVICE, {MARA.id}, {})[MARA.id]) == [slot, slot + HOUR, slot + 2 * HOUR]
    assert list(ledger.taken_moments(SERVICE, {MARA.id}, {}, leave_out=[own])[MARA.id]) == [slot + 2 * HOUR]


def test_fixed_times_of_the_plan_are_taken_once(ledger: Ledger, checked: Post) -> None:
    """Whether they were sent by now or not."""
    at = (ledger.now() // HOUR + 1) * HOUR
    _scheduled(ledger, checked, at=at)
    fixed = [RowPost("", checked().video.sha256, MARA.id, 0, at), RowPost("", "b" * 64, MARA.id, 0, at + HOUR)]
    seen: list[float] = []

    def choose(request: SlotRequest, taken: Taken, earliest: float) -> float:
        seen.extend(taken[MARA.id])
        return each_hour(request, taken, earliest)

    assert ledger.reserve(SERVICE, [wanted("c")], choose, earliest=ledger.now(), fixed=fixed) == [at + 2 * HOUR]
    assert seen == [at, at + HOUR]


def test_looking_waits_for_no_writer(ledger_url: str, clock: Clock) -> None:
    """A check of a long plan does not keep others from sending, nor they it."""
    with closing(Ledger(ledger_url, clock=clock)) as ledger, closing(Ledger(ledger_url, clock=clock)) as other:
        other.identity()

        def choose(request: SlotRequest, taken: Taken, earliest: float) -> float:
            other.release_slots(SERVICE, [])
            return each_hour(request, taken, earliest)

        (shown,) = ledger.reserve(SERVICE, [wanted()], choose, earliest=clock.now, dry_run=True)

    assert isinstance(shown, float)


def test_looking_only_reserves_nothing(ledger: Ledger) -> None:
    """A check shows the slots that posts would get now, one after the other."""
    shown = reserve(ledger, wanted("a"), wanted("b"), dry_run=True)

    assert shown[1] - shown[0] == HOUR
    assert ledger.reservations(SERVICE, ["a" * 64, "b" * 64]) == []
    assert reserve(ledger, wanted("b")) == shown[:1]


def test_a_slot_that_passed_unused_is_replaced(ledger: Ledger, clock: Clock) -> None:
    """The post takes the next one; the row remembers only that."""
    (first,) = reserve(ledger, wanted("a"))
    clock.now = first + 1

    (second,) = reserve(ledger, wanted("a"))

    assert second == first + HOUR
    assert [kept.at for kept in ledger.reservations(SERVICE, ["a" * 64])] == [second]


def test_the_slot_of_a_post_that_is_out_stays(ledger: Ledger, clock: Clock, checked: Post) -> None:
    """Its slot has passed because it was used."""
    (first,) = reserve(ledger, _of(checked()))
    _scheduled(ledger, checked, at=first)
    clock.now = first + 1

    assert reserve(ledger, _of(checked())) == [first]


@pytest.mark.parametrize("state", [PostState.CANCELLED, PostState.REFUSED])
def test_a_post_that_is_not_out_frees_its_slot(ledger: Ledger, checked: Post, state: PostState) -> None:
    """It was cancelled or refused: another post may have the slot, and it takes a new one itself."""
    (first,) = reserve(ledger, _of(checked()))
    send_id = _scheduled(ledger, checked, at=first, accepted=state is PostState.CANCELLED)
    ledger.settle(send_id, state, "for a test")

    assert reserve(ledger, wanted("b"), _of(checked())) == [first, first + HOUR]


def test_posts_that_the_ledger_has_count_once(ledger: Ledger, checked: Post) -> None:
    """A reserved slot and the post that was sent for it are one post; a post without a slot counts as well."""
    (first,) = reserve(ledger, _of(checked()))
    _scheduled(ledger, checked, at=first)
    _scheduled(ledger, checked, at=first + HOUR, caption="another")

    taken = ledger.taken_moments(SERVICE, {MARA.id}, {MARA.id: [first + 2 * HOUR]})

    assert list(taken[MARA.id]) == [first, first + HOUR, first + 2 * HOUR]


def test_other_posts_are_counted_too(ledger: Ledger) -> None:
    """What Taisly has and the ledger does not know takes a slot."""
    (first,) = reserve(ledger, wanted("a"), dry_run=True)

    assert reserve(ledger, wanted("a"), others={MARA.id: [first]}) == [first + HOUR]


def test_accounts_of_one_moment_get_one_that_is_free_for_all(ledger: Ledger) -> None:
    """One of them has a post at the first slot, so all take the second."""
    (first,) = reserve(ledger, wanted("a", (ADA,)))

    assert reserve(ledger, wanted("b", (MARA, ADA))) == [first + HOUR]
    assert {kept.at for kept in ledger.reservations(SERVICE, ["b" * 64])} == {first + HOUR}


def test_a_post_without_a_slot_does_not_keep_the_others_from_theirs(ledger: Ledger) -> None:
    """Its error takes the place of its moment."""
    refusal = InputError("No slot is free.")

    def choose(request: SlotRequest, taken: Taken, earliest: float) -> float:
        if request.sha256.startswith("b"):
            raise refusal
        return each_hour(request, taken, earliest)

    first, second, third = ledger.reserve(
        SERVICE, [wanted("a"), wanted("b"), wanted("c")], choose, earliest=ledger.now()
    )

    assert second is refusal
    assert (isinstance(first, float), third) == (True, float(str(first)) + HOUR)


def test_a_released_slot_is_free(ledger: Ledger) -> None:
    """Whoever is not wanted any more lets others have its slot; a slot that was moved meanwhile is kept."""
    (first,) = reserve(ledger, wanted("a"))
    kept = ledger.reservations(SERVICE, ["a" * 64])

    ledger.release_slots(SERVICE, kept)

    assert reserve(ledger, wanted("b")) == [first]
    assert [each.caption_sha256 for each in kept] == [caption_fingerprint("one")]


def test_campaigns_that_race_share_no_slot(url: str, clock: Clock) -> None:
    """Eight runs with five posts each, at once: forty slots, none twice. And again: the same forty."""
    ledgers = [Ledger(url, clock=clock) for _ in range(8)]
    ledgers[0].identity()

    def run(number: int) -> list[Any]:
        return reserve(ledgers[number], *(wanted("a", campaign=f"{number} {post}") for post in range(5)))

    first, second = at_once(8, run), at_once(8, run)
    for ledger in ledgers:
        ledger.close()

    assert len({at for moments in first for at in moments}) == 40
    assert second == first


def test_nothing_is_reserved_in_a_ledger_that_was_replaced(ledger: Ledger, tmp_path: Path) -> None:
    """Another ledger is used now: its slots count."""
    with closing(Ledger(f"sqlite:///{tmp_path / 'other.db'}")) as other:
        ledger.identity()
        replace_ledger(ledger, other, commit=lambda: None)

    with pytest.raises(LedgerUnavailable, match="was replaced"):
        reserve(ledger, wanted("a"))


def _of(request: PostRequest) -> SlotRequest:
    """The slot for a post at the first account."""
    captions = {MARA.id: request.caption}
    return SlotRequest(campaign="", sha256=request.video.sha256, file="a.mp4", captions=captions, accounts=(MARA,))


def _scheduled(ledger: Ledger, checked: Post, *, at: float, accepted: bool = True, caption: str = "one") -> str:
    """A post that Taisly has for `at`, or that is being sent; its send ID."""
    request = checked(caption, [MARA], scheduled_for=datetime.fromtimestamp(at, UTC))
    claim = ledger.claim(request, service=SERVICE, owner="me")
    assert claim.send_id is not None
    ledger.begin(claim.send_id, "me")
    if accepted:
        ledger.seal(claim.send_id, "me")
        ledger.accepted(claim.send_id, f"h {at}")
    return claim.send_id
