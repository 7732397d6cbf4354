"""Runs after a rotation that was killed: whether the old key works is found out, and nothing is lost or sent twice."""

from collections.abc import Callable
from typing import Any

import pytest
from support.clock import Clock
from support.keys import POST, SavedKey, new_key, old_key, taisly_with

from reelflow.errors import Busy, ClaimLost
from reelflow.ledger import Ledger
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.posts.sending import send_post
from reelflow.records.post_states import PostState
from reelflow.records.posts import PostRequest

PLATFORMS = "GET /api/private/platform/platforms"
ROTATION = 60
"""Seconds for which a rotation is waited for that may have died."""


@pytest.fixture
def saved(sandbox: Any) -> SavedKey:
    return SavedKey(sandbox)


@pytest.fixture
def taisly(sandbox: Any, ledger: Ledger, clock: Clock, saved: SavedKey) -> RateLimitedTaisly:
    """A run that knows its accounts, after a rotation that was killed more than a minute ago."""
    taisly = taisly_with(sandbox, ledger, clock, saved)
    taisly.connected_accounts()
    ledger.begin_rotation(old_key(sandbox), "killed", ROTATION)
    clock.now += ROTATION + 1
    return taisly


def _states(ledger: Ledger) -> set[PostState]:
    return {outcome.state for _, outcomes in ledger.recent_sends(0) for outcome in outcomes}


def test_a_post_waits_for_the_new_key_and_is_then_free_to_be_sent_again(
    taisly: RateLimitedTaisly, saved: SavedKey, sandbox: Any, ledger: Ledger, clock: Clock,
    checked: Callable[..., PostRequest],
) -> None:  # fmt: skip
    """The rotation died after the old key did: no upload leaves only to be refused, and no other run asks Taisly."""
    saved.replace(is_saved=False)
    asked, began = sandbox.requests(PLATFORMS), clock.now

    with pytest.raises(Busy, match=r"may no longer work\. Nothing was sent\. Replace the API key again"):
        send_post(taisly, checked(), patience=900)
    waited, uploads, states = clock.now - began, sandbox.requests(POST), _states(ledger)
    with pytest.raises(Busy, match="Replace the API key again"):
        taisly_with(sandbox, ledger, clock, saved).history_page(1)
    tried = sandbox.requests(PLATFORMS) - asked
    saved.replace()
    send_post(taisly, checked())

    assert (uploads, tried, 900 <= waited < 910) == (0, 1, True)
    assert states == {PostState.CLAIMED}  # and the claim has ended: nothing was posted
    assert (len(sandbox.posts), _states(ledger), taisly.key) == (1, {PostState.ACCEPTED}, new_key(sandbox))


def test_a_post_goes_out_as_soon_as_the_new_key_is_saved(
    taisly: RateLimitedTaisly, saved: SavedKey, sandbox: Any, clock: Clock, checked: Callable[..., PostRequest]
) -> None:
    """The next rotation finishes, or a person puts a key into the block."""
    saved.replace(is_saved=False)
    began = clock.now
    clock.on_sleep = lambda seconds: clock.now - began >= 300 and saved.replace()

    send_post(taisly, checked(), patience=900)

    assert (len(sandbox.posts), sandbox.requests(POST), clock.now - began) == (1, 1, 300)


def test_a_key_that_works_still_is_used_at_once(
    taisly: RateLimitedTaisly, saved: SavedKey, sandbox: Any, ledger: Ledger, clock: Clock,
    checked: Callable[..., PostRequest],
) -> None:  # fmt: skip
    """The rotation died before it asked for a new one. One request tells that, for all runs."""
    asked, began = sandbox.requests(PLATFORMS), clock.now

    send_post(taisly, checked())
    taisly_with(sandbox, ledger, clock, saved).history_page(1)

    assert (len(sandbox.posts), sandbox.requests(PLATFORMS) - asked, clock.now) == (1, 1, began)


def test_a_taisly_that_does_not_tell_is_asked_by_the_request_itself(
    taisly: RateLimitedTaisly, saved: SavedKey, sandbox: Any
) -> None:
    """And whether the key works is found out before the next one."""
    sandbox.order_fault("status_before", "GET", "/api/private/platform/platforms", status=502)
    asked = sandbox.requests(PLATFORMS)

    assert taisly.history_page(1) == []
    taisly.history_page(1)

    assert sandbox.requests(PLATFORMS) - asked == 2


@pytest.mark.parametrize("works", [True, False])
def test_what_is_found_out_ends_no_other_rotation(works: bool, ledger_on_each: Ledger, clock: Clock) -> None:
    """One that began meanwhile knows better."""
    ledger_on_each.begin_rotation("k", "killed", ROTATION)
    clock.now += ROTATION + 1
    ledger_on_each.begin_rotation("k", "next", ROTATION)

    ledger_on_each.settle_unfinished_rotation("k", works=works)
    ledger_on_each.renew_rotation("k", "next", ROTATION)

    assert ledger_on_each.is_being_replaced("k")


def test_a_rotation_that_was_held_up_generates_nothing_once_runs_go_on(ledger_on_each: Ledger, clock: Clock) -> None:
    """A laptop slept: requests may begin by now, and an upload may be in progress."""
    ledger_on_each.begin_rotation("k", "asleep", ROTATION)
    clock.now += ROTATION + 1

    ledger_on_each.settle_unfinished_rotation("k", works=True)

    with pytest.raises(ClaimLost):
        ledger_on_each.renew_rotation("k", "asleep", ROTATION)
