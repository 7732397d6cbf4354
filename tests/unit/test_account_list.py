"""The accounts of a key, and what its plan has left."""

from typing import Any

import httpx
import pytest
from support.clock import Clock
from support.quota import take

from reelflow.errors import Busy
from reelflow.ledger import Ledger
from reelflow.ledger.keys import HOUR, HOUR_SLACK
from reelflow.posts.account_list import list_accounts
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.records.post_states import PostState
from reelflow.taisly import TaislyClient


def test_the_accounts_are_those_of_this_moment(taisly: RateLimitedTaisly, ledger: Ledger) -> None:
    """Not those of ten minutes ago: one may have been connected just now."""
    ledger.remember_accounts(taisly.key, [])

    found = list_accounts(taisly)

    assert [each.name for each in found.accounts][:2] == ["TikTok @mara.bakes", "TikTok @mara.behind.the.oven"]
    assert (found.quota.used, found.quota.left) == (2, 998)
    assert found.key is not None
    assert (found.key.plan, found.key.active) == ("PRO", True)


def test_a_plan_that_is_used_up_shows_the_accounts_as_they_are_known(
    taisly: RateLimitedTaisly, ledger: Ledger, clock: Clock
) -> None:
    """And when a request is free again; without any that are known, it says when to ask."""
    first = clock.now
    for _ in range(taisly.per_hour):
        take(ledger, taisly.key, taisly.per_hour)
    with pytest.raises(Busy, match="requests an hour are used up"):
        list_accounts(taisly)
    ledger.remember_accounts(taisly.key, [])

    found = list_accounts(taisly)

    assert (found.accounts, found.quota.left, found.key) == ([], 0, None)
    assert found.quota.first_free_again == pytest.approx(first + HOUR + HOUR_SLACK)


def test_an_account_on_hold_says_so(taisly: RateLimitedTaisly, sandbox: Any, checked: Any) -> None:
    """Campaigns send nothing there, which is why a person looks at the list."""
    ledger, accounts = taisly.ledger, taisly.connected_accounts()
    for number in range(3):
        request = checked(caption=f"{number}", accounts=[accounts[0]])
        send_id = ledger.claim(request, service=taisly.service, owner="me").send_id or ""
        ledger.begin(send_id, "me")
        ledger.settle(send_id, PostState.REFUSED, "gone")

    found = list_accounts(taisly)

    assert [each.account.id for each in found.accounts if each.hold] == [accounts[0].id]


@pytest.mark.parametrize(
    "body",
    [
        {"success": True},
        {"success": True, "data": []},
        {"success": True, "data": {"plan": {"name": "PRO"}, "active": "yes", "createdAt": "once", "lastUsed": {}}},
    ],
    ids=str,
)
def test_what_a_key_tells_in_other_words_is_not_shown(body: dict[str, Any]) -> None:
    """None of its fields is documented."""
    client = TaislyClient("taisly_k", transport=httpx.MockTransport(lambda request: httpx.Response(200, json=body)))

    assert client.key_facts().model_dump() == {"plan": "", "active": None, "created": None, "last_used": None}


def test_an_answer_that_quotes_the_key_shows_none_of_it() -> None:
    """Wherever it stands."""
    body = {"data": {"plan": "PRO taisly_k", "key": "taisly_k", "createdAt": 1764158400000}}
    client = TaislyClient("taisly_k", transport=httpx.MockTransport(lambda request: httpx.Response(200, json=body)))

    facts = client.key_facts()

    assert "taisly_k" not in repr(facts)
    assert facts.created is not None
    assert facts.created.year == 2025
