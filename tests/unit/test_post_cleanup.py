"""What is left of earlier runs: posts to cancel, to resolve, and to release."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.clock import Clock
from support.journal import journal_of
from support.sandbox import SandboxWithClients

from reelflow.errors import InputError, StillOpen, WrongClient
from reelflow.ledger import Ledger
from reelflow.posts.cleanup import (
    cancel_post,
    check_client,
    find_scheduled,
    find_unconfirmed,
    give_up_without_key,
    resolve_post,
    scheduled_sends_of,
)
from reelflow.posts.clients import Client
from reelflow.posts.form import ResolveForm
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.posts.sending import send_post
from reelflow.posts.watching import read_outcomes
from reelflow.records.post_states import PostState
from reelflow.records.posts import PostRequest, Send
from tasks.campaigns.cancel import cancelled_message

Post = Callable[..., PostRequest]


def test_only_a_post_of_ours_can_be_cancelled(ledger: Ledger) -> None:
    with pytest.raises(InputError, match="No post that reelflow sent with this Taisly account has the ID 'h9'"):
        find_scheduled(ledger, "s", "h9")


def test_a_scheduled_post_is_found_by_either_of_its_ids(ledger: Ledger, checked: Post) -> None:
    """`reelflow posts` shows both."""
    later = datetime.now(UTC) + timedelta(hours=1)
    send_id = ledger.claim(checked(scheduled_for=later), service="s", owner="me").send_id or ""
    ledger.accepted(send_id, "h1")

    assert find_scheduled(ledger, "s", send_id) == find_scheduled(ledger, "s", "h1")
    with pytest.raises(InputError, match="No post that reelflow sent"):
        find_scheduled(ledger, "another service", send_id)


@pytest.fixture
def two() -> Iterator[SandboxWithClients]:
    with SandboxWithClients(clients=["bakery", "cafe"]) as sandbox:
        yield sandbox


def _of(two: SandboxWithClients, name: str, ledger: Ledger, clock: Clock) -> RateLimitedTaisly:
    found = two.rate_limited(ledger, clock, key=two.key_of(name))
    found.whose = Client(name)
    return found


def _scheduled(ledger: Ledger, request: PostRequest, service: str) -> Send:
    """A post of the client bakery that Taisly has accepted, for in an hour."""
    later = request.model_copy(update={"scheduled_for": datetime.fromtimestamp(ledger.now() + 3600, UTC)})
    send_id = ledger.claim(later, service=service, owner="me", client="bakery").send_id or ""
    ledger.accepted(send_id, "h1")
    ((send, _),) = ledger.sends([send_id])
    return send


def test_a_post_of_another_client_is_not_cancelled(
    two: SandboxWithClients, ledger: Ledger, clock: Clock, checked: Post
) -> None:
    """Nor is Taisly asked; the client that it was sent for is named. A key under another name may cancel it."""
    bakery, cafe = (_of(two, name, ledger, clock) for name in ("bakery", "cafe"))
    send = _scheduled(ledger, checked(accounts=bakery.ask_accounts()), bakery.service)

    with pytest.raises(WrongClient, match=r"small\.mp4 was sent for the client bakery, but this run is for cafe"):
        cancel_post(cafe, send.id, "a test")
    bakery.whose = Client("new-bakery")

    assert two.requests("DELETE /api/private/posts/scheduled/{id}") == 0
    check_client(bakery, send)


def test_what_only_a_lost_key_could_tell_waits_for_a_person_after_a_week(
    two: SandboxWithClients, ledger: Ledger, clock: Clock, checked: Post
) -> None:
    """Also if no other client has an open post, or none is left; what a saved key can tell waits."""
    bakery = _of(two, "bakery", ledger, clock)
    send = _scheduled(ledger, checked(accounts=bakery.ask_accounts()), bakery.service)
    clock.sleep(7200)
    states = []

    for _ in range(10):
        kept = give_up_without_key(ledger, [bakery.key])
        give_up_without_key(ledger, [])
        states.append({o.state for o in ledger.sends([send.id])[0][1]})
        clock.sleep(86400)

    assert kept == []
    assert states[5] == {PostState.ACCEPTED}
    assert states[-1] == {PostState.UNCONFIRMED}


@pytest.mark.parametrize(
    ("hours", "outcome", "reason"),
    [
        (0, None, "it was not scheduled"),
        (-1, None, r"its time, .+, \S+ \(\S+\), has passed"),
        (-1, PostState.SUCCESS, "it was already published on TikTok @mara.bakes, "),
        (-1, PostState.UNCONFIRMED, "it is unconfirmed on TikTok @mara.bakes, "),
    ],
)
def test_why_a_post_cannot_be_cancelled_is_said(
    ledger: Ledger, checked: Post, hours: int, outcome: PostState | None, reason: str
) -> None:
    when = datetime.now(UTC) + timedelta(hours=hours) if hours else None
    send_id = ledger.claim(checked(scheduled_for=when), service="s", owner="me").send_id or ""
    ledger.accepted(send_id, "h1")
    if outcome is not None:
        ledger.settle(send_id, outcome, "")

    with pytest.raises(InputError, match=f"small.mp4 cannot be cancelled: {reason}"):
        find_scheduled(ledger, "s", "h1")


def test_a_post_that_is_still_open_is_not_resolved(ledger: Ledger, checked: Post, clock: Clock) -> None:
    """It is said what is known: while it is sent, when the upload died, when the answer is lost, when Taisly has it."""
    later = datetime.now(UTC) + timedelta(days=1)
    send_id, scheduled = (
        ledger.claim(checked(str(when), scheduled_for=when), service="s", owner="me").send_id or ""
        for when in (None, later)
    )
    ledger.accepted(scheduled, "h2")
    ledger.begin(send_id, "me")

    def refused(error: type[InputError], words: str, name: str = send_id) -> None:
        with pytest.raises(InputError, match=f"is still open: {words}") as caught:
            find_unconfirmed(ledger, f" {name} ")
        assert type(caught.value) is error

    refused(InputError, "a run is sending it")
    clock.sleep(60)
    refused(InputError, "its upload was interrupted, so nothing was posted")
    ledger.seal(send_id, "me")
    ledger.answer_lost(send_id, "lost")
    refused(StillOpen, "Taisly has not confirmed it")
    ledger.accepted(send_id, "h1")
    refused(StillOpen, r"Taisly has accepted it \(history ID h1\) and has no outcome yet")
    refused(StillOpen, r"Taisly publishes it on .+, \S+ \(\S+\)", "h2")


def test_a_cancelled_run_cancels_what_it_scheduled_and_what_is_still_to_come(
    taisly: Any, ledger: Ledger, clock: Clock, checked: Post
) -> None:
    """Not what is out already, and not what another run scheduled."""
    soon, later = (datetime.now(UTC) + timedelta(hours=hours) for hours in (1, 3))
    send_post(taisly, checked("now"), flow_run="run-1")
    send_post(taisly, checked("soon", scheduled_for=soon), flow_run="run-1")
    send_post(taisly, checked("later", scheduled_for=later), flow_run="run-1")
    send_post(taisly, checked("theirs", scheduled_for=later), flow_run="run-2")

    before = scheduled_sends_of(ledger, "run-1")
    clock.sleep(2 * 3600)

    assert [send.caption for send in before] == ["soon", "later"]
    assert [send.caption for send in scheduled_sends_of(ledger, "run-1")] == ["later"]


def test_a_cancelled_campaign_says_only_what_is_so(ledger: Ledger, checked: Post) -> None:
    """Nothing of scheduled posts where there are none; what counts is a post at one account."""

    def message() -> str:
        return cancelled_message(ledger.sends_of_flow_run("run"), ledger.now())

    before = message()
    out = ledger.claim(checked("out"), service="s", owner="me", flow_run="run").send_id or ""
    ledger.accepted(out, "h1")
    ledger.settle(out, PostState.SUCCESS, "")
    at_once = message()
    later = checked("later", scheduled_for=datetime.now(UTC) + timedelta(days=1))
    ledger.accepted(ledger.claim(later, service="s", owner="me", flow_run="run").send_id or "", "h2")
    both = message()

    assert before == "The run was cancelled. It posted nothing."
    assert at_once == (
        "The run was cancelled. Posts by account: 3 published. To send any remaining posts, start it again."
    )
    assert both == (
        "The run was cancelled. Posts by account: 3 published, 3 scheduled. To send any remaining posts, start it "
        "again. Scheduled posts stay scheduled: cancel-scheduled-post cancels one."
    )


@pytest.mark.parametrize(
    ("form", "state", "reason"),
    [
        (ResolveForm(send_id="x", answer="not published"), PostState.CLAIMED, "confirmed by a person as not published"),
        (ResolveForm(send_id="x", answer="published"), PostState.SUCCESS, "confirmed by a person"),
        (ResolveForm(send_id="x", answer="published", history_id=" h1 "), PostState.ACCEPTED,
         "named by a person: history ID h1"),
    ],
)  # fmt: skip
def test_what_a_person_found_out_is_recorded(
    taisly: Any, ledger: Ledger, checked: Post, form: ResolveForm, state: PostState, reason: str
) -> None:
    claim = ledger.claim(checked(), service=taisly.service, owner="me")
    assert claim.send_id is not None
    ledger.begin(claim.send_id, "me")
    ledger.settle(claim.send_id, PostState.UNCONFIRMED, "answer lost")

    resolve_post(ledger, claim.send_id, form)

    ((_, found),) = ledger.sends([claim.send_id])
    assert {outcome.state for outcome in found} == {state}
    assert journal_of(ledger, claim.send_id)[-1]["reason"] == reason
    with pytest.raises(InputError, match=r"Unconfirmed posts: none|is still open"):
        find_unconfirmed(ledger, claim.send_id)


def test_the_history_id_of_another_post_is_not_recorded(taisly: Any, ledger: Ledger, checked: Post) -> None:
    """A person took the wrong one: it is said, and the post stays unconfirmed."""
    lost, other = (
        ledger.claim(checked(caption), service=taisly.service, owner="me").send_id for caption in ("lost", "other")
    )
    assert lost is not None
    assert other is not None
    ledger.accepted(other, "h1")
    ledger.begin(lost, "me")
    ledger.settle(lost, PostState.UNCONFIRMED, "answer lost")

    with pytest.raises(InputError, match="'h1' belongs to another post"):
        resolve_post(ledger, lost, ResolveForm(send_id=lost, answer="published", history_id="h1"))

    assert find_unconfirmed(ledger, lost)[0].id == lost


def test_a_person_may_name_the_history_id_that_is_on_record(taisly: Any, ledger: Ledger, checked: Post) -> None:
    """Of a post whose outcome did not come for a day."""
    send_id = ledger.claim(checked(), service=taisly.service, owner="me").send_id or ""
    ledger.accepted(send_id, "h1")
    ledger.settle(send_id, PostState.UNCONFIRMED, "no outcome for a day")

    resolve_post(ledger, send_id, ResolveForm(send_id=send_id, answer="published", history_id="h1"))

    ((_, found),) = ledger.sends([send_id])
    assert {outcome.state for outcome in found} == {PostState.SUCCESS}


def test_an_upload_that_died_in_the_middle_is_released(
    sandbox: Any, taisly: Any, ledger: Ledger, clock: Clock, checked: Post
) -> None:
    """By the first look at the open posts; nothing is out, so the history is not even read."""
    claim = ledger.claim(checked(), service=taisly.service, owner="dead")
    assert claim.send_id is not None
    ledger.begin(claim.send_id, "dead")
    clock.sleep(60)

    assert read_outcomes(taisly) == []

    ((_, found),) = ledger.sends([claim.send_id])
    assert {outcome.state for outcome in found} == {PostState.CLAIMED}
    assert "its run died before the upload was complete" in journal_of(ledger, claim.send_id)[-1]["reason"]
    assert sandbox.requests("GET /api/private/post/history") == 0
