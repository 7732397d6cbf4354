"""A run whose API key is replaced meanwhile goes on with the new one, and posts nothing twice."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.campaigns import Campaign, row
from support.clock import Clock
from support.keys import FRESH, POST, SavedKey, new_key, old_key, taisly_with
from support.quota import take

from reelflow.errors import Busy, InputError, NotAllowed
from reelflow.ledger import Ledger
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.posts.sending import send_post
from reelflow.records.post_states import PostState
from reelflow.records.posts import Account, PostRequest

PLATFORMS = "GET /api/private/platform/platforms"


@pytest.fixture
def saved(sandbox: Any) -> SavedKey:
    return SavedKey(sandbox)


@pytest.fixture
def taisly(sandbox: Any, ledger: Ledger, clock: Clock, saved: SavedKey) -> RateLimitedTaisly:
    return taisly_with(sandbox, ledger, clock, saved)


def test_a_request_that_is_refused_for_its_old_key_is_made_with_the_new_one(
    taisly: RateLimitedTaisly, saved: SavedKey, sandbox: Any, ledger: Ledger
) -> None:
    """And the requests that the old one made still count: the plan is the same."""
    taisly.connected_accounts()
    saved.replace()

    taisly.history_page(1)

    assert taisly.key == new_key(sandbox)
    assert ledger.requests_in_last_hour(new_key(sandbox)) == 4  # accounts, refused, the key tried, the history
    assert ledger.requests_in_last_hour(old_key(sandbox)) == 0


def test_a_post_that_is_refused_for_its_old_key_goes_out_once_with_the_new_one(
    taisly: RateLimitedTaisly, saved: SavedKey, sandbox: Any, ledger: Ledger, checked: Callable[..., PostRequest]
) -> None:
    """The whole upload had left; Taisly itself says that it took nothing."""
    taisly.connected_accounts()
    saved.replace()

    send_post(taisly, checked())

    assert (len(sandbox.posts), sandbox.requests(POST)) == (1, 2)
    assert {outcome.state for _, outcomes in ledger.recent_sends(0) for outcome in outcomes} == {PostState.ACCEPTED}


def test_a_post_that_no_new_key_can_save_is_refused_at_once(
    taisly: RateLimitedTaisly, saved: SavedKey, sandbox: Any, ledger: Ledger, checked: Callable[..., PostRequest]
) -> None:
    """The block has the dead key still, and nobody is replacing it: nothing is waited for."""
    taisly.connected_accounts()
    saved.replace(is_saved=False)

    send_post(taisly, checked())

    assert (sandbox.posts, sandbox.requests(POST), saved.asked) == ([], 1, 1)
    assert {outcome.state for _, outcomes in ledger.recent_sends(0) for outcome in outcomes} == {PostState.REFUSED}


def test_a_second_refusal_with_the_new_key_is_the_end_of_it(
    taisly: RateLimitedTaisly, saved: SavedKey, sandbox: Any, ledger: Ledger, checked: Callable[..., PostRequest]
) -> None:
    """A key that is replaced again and again keeps no run busy forever."""
    taisly.connected_accounts()
    keys = iter(["taisly_1", "taisly_2", "taisly_3"])

    def replace(part: PostRequest) -> None:
        saved.key = next(keys)
        sandbox.world.data.keys = [saved.key]

    send_post(taisly, checked(), before_upload=replace)

    assert (sandbox.posts, sandbox.requests(POST)) == ([], 2)
    assert {outcome.state for _, outcomes in ledger.recent_sends(0) for outcome in outcomes} == {PostState.REFUSED}


def test_a_refusal_between_generating_and_saving_waits_for_the_block(
    taisly: RateLimitedTaisly, saved: SavedKey, sandbox: Any, ledger: Ledger, clock: Clock
) -> None:
    """The ledger says that the key is being replaced, so the new one will be there in a moment."""
    taisly.connected_accounts()
    ledger.begin_rotation(old_key(sandbox), "rotation", 60)
    saved.replace(is_saved=False)
    clock.on_sleep = lambda seconds: clock.passed >= 6 and saved.replace()

    renewed = taisly.renewed_after(NotAllowed("401", status=401, by_service=True), old_key(sandbox))

    assert (renewed, taisly.key) == (True, new_key(sandbox))
    assert clock.passed == 6


def test_a_401_of_something_on_the_way_is_no_reason_to_repeat(
    sandbox: Any, ledger: Ledger, clock: Clock, saved: SavedKey
) -> None:
    """A proxy knows nothing of Taisly's keys, and of what Taisly did."""
    proxy = httpx.MockTransport(lambda request: httpx.Response(401, text="<html>Sign in</html>"))
    saved.key = FRESH

    with taisly_with(sandbox, ledger, clock, saved, transport=proxy) as taisly, pytest.raises(NotAllowed):
        taisly.history_page(1)

    assert saved.asked == 0


@pytest.mark.parametrize("known", [[], [Account(id="elsewhere", platform="X", name="@elsewhere")]], ids=len)
def test_the_key_of_another_taisly_account_is_not_used(
    known: list[Account], taisly: RateLimitedTaisly, saved: SavedKey, sandbox: Any, ledger: Ledger
) -> None:
    """Its history shows none of the posts of this one, so they would be taken for lost."""
    ledger.remember_accounts(old_key(sandbox), known)
    saved.replace()

    with pytest.raises(NotAllowed, match="401"):
        taisly.history_page(1)

    assert taisly.key == old_key(sandbox)


def test_no_request_is_made_with_a_key_that_the_ledger_knows_as_replaced(
    taisly: RateLimitedTaisly, saved: SavedKey, sandbox: Any, ledger: Ledger, checked: Callable[..., PostRequest]
) -> None:
    """Nor an upload of 400 MB, only to be refused."""
    saved.replace()
    ledger.replace_key(old_key(sandbox), new_key(sandbox))  # its accounts are not known, and need not be

    send_post(taisly, checked())

    assert (len(sandbox.posts), sandbox.requests(POST)) == (1, 1)


def test_a_key_that_is_in_the_block_again_is_used(taisly: RateLimitedTaisly, sandbox: Any, ledger: Ledger) -> None:
    """A sandbox that was started again has its first key: the block counts, not what the ledger remembers."""
    ledger.replace_key(old_key(sandbox), new_key(sandbox))

    assert taisly.history_page(1) == []


def test_no_request_begins_while_the_key_is_replaced(
    taisly: RateLimitedTaisly, saved: SavedKey, sandbox: Any, ledger: Ledger, clock: Clock
) -> None:
    """It waits as for a 429, looks for the new key meanwhile, and goes on once it is saved."""
    taisly.connected_accounts()
    ledger.begin_rotation(old_key(sandbox), "rotation", 60)
    clock.on_sleep = lambda seconds: clock.passed >= 20 and saved.replace()

    with pytest.raises(Busy, match=r"Taisly's API key is being replaced; retry in 1 minute"):
        taisly.history_page(1)
    taisly.history_page(1, patience=300)

    assert clock.passed == 20
    assert sandbox.requests("GET /api/private/post/history") == 1


def test_two_rotations_of_a_key_do_not_meet(ledger_on_each: Ledger, clock: Clock) -> None:
    """The second is refused; once the first has died, its mark ends by itself."""
    ledger_on_each.begin_rotation("k", "one", 60)

    with pytest.raises(InputError, match="Another run is replacing or revoking this API key"):
        ledger_on_each.begin_rotation("k", "two", 60)
    clock.sleep(61)
    ledger_on_each.begin_rotation("k", "two", 60)

    assert ledger_on_each.is_being_replaced("k")
    ledger_on_each.end_rotation("k", "two")
    assert not ledger_on_each.is_being_replaced("k")


def test_the_new_key_has_the_hour_the_pause_and_the_queue_of_the_old_one(ledger_on_each: Ledger, clock: Clock) -> None:
    """Taisly counts for the plan, whichever key is used; recording the replacement twice changes nothing."""
    for _ in range(3):
        take(ledger_on_each, "old", 3)
    take(ledger_on_each, "old", 3, waiter="first", patience=7200)
    ledger_on_each.block_key("old", 20)
    ledger_on_each.remember_accounts("old", [Account(id="1", platform="X", name="@x")])

    for _ in range(2):
        ledger_on_each.replace_key("old", "new")

    assert ledger_on_each.requests_in_last_hour("new") == 3
    assert take(ledger_on_each, "new", 4, waiter="second", patience=7200).is_paused
    clock.sleep(21)
    assert not take(ledger_on_each, "new", 4, waiter="second", patience=7200).ticket  # "first" asked before
    assert take(ledger_on_each, "new", 4, waiter="first").ticket
    assert [account.id for account in ledger_on_each.known_accounts("new", 600) or ()] == ["1"]
    assert take(ledger_on_each, "old", 9).replaced_by == "new"


def test_a_campaign_goes_on_when_its_key_is_replaced(
    taisly: RateLimitedTaisly, saved: SavedKey, sandbox: Any, videos: Callable[[int], Path]
) -> None:
    """Several posts at once: each goes out once, and none is refused."""
    replaced: list[int] = []

    def replace(place: int, parts: Any) -> None:
        if not replaced:
            saved.replace()
        replaced.append(place)

    carried = Campaign(taisly, *(row(n, videos(n)) for n in range(1, 7))).send(on_carried=replace)

    assert [each.failure for each in carried] == [""] * 6
    assert sorted(post["caption"] for post in sandbox.posts) == [f"caption {n}" for n in range(1, 7)]
