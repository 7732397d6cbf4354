"""Several clients on a real Prefect server, each with a Taisly account of its own in the sandbox."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from support.clients import save_client
from support.commands import reelflow
from support.sandbox import SandboxWithClients
from support.seen import artifacts_of

from blocks import TaislyAccount
from flows.connections import check_connections
from flows.finish import finish_open_posts
from flows.list_accounts import list_accounts
from flows.publish import publish_video
from flows.week import show_week
from reelflow.ledger import Ledger
from reelflow.posts.form import FinishForm, PostForm
from reelflow.records.holds import HOLD_AFTER
from reelflow.records.post_states import PostState
from reelflow.records.posts import PostRequest

pytestmark = pytest.mark.usefixtures("server")
BRIEFLY = FinishForm(minutes=0.2)


def _post(clip: Callable[[str], Path], *accounts: str, **more: Any) -> PostForm:
    return PostForm(video=str(clip("small.mp4")), accounts=list(accounts), watch_minutes=0, **more)


def test_a_post_to_another_clients_account_is_not_sent(
    clients: dict[str, TaislyAccount], two: SandboxWithClients, clip: Any
) -> None:
    """The message says whose account it is, and what to choose; the right client's accounts are taken."""
    wrong = publish_video(clients["cafe"], _post(clip, "bakery: TikTok @bakery.daily"), return_state=True)
    typed = publish_video(clients["cafe"], _post(clip, "@bakery.daily"), return_state=True)
    nothing = list(two.posts)
    right = publish_video(clients["cafe"], _post(clip, "cafe: TikTok @cafe.daily"), return_state=True)

    assert wrong.is_failed()
    assert "is an account of the client bakery, but this run is for cafe. Choose bakery as 'Taisly account'" in (
        wrong.message
    )
    assert typed.is_failed()
    assert nothing == []
    assert right.is_completed()
    assert [post["client"] for post in two.posts] == ["cafe"]
    assert artifacts_of(right)["markdown"].data.startswith("# cafe: small.mp4")


def test_one_client_that_is_refused_keeps_no_other_from_being_finished(
    clients: dict[str, TaislyAccount], two: SandboxWithClients, clip: Any, ledger_url: str
) -> None:
    """Without a client, every one is looked after; the run fails with the name of the one that cannot be."""
    for name, block in clients.items():
        publish_video(block, _post(clip, "all", caption=name), return_state=True)
    two.world.data.keys.remove(two.key_of("bakery"))

    broken = finish_open_posts(finish=BRIEFLY, return_state=True)
    states = {send.client: {o.state for o in found} for send, found in Ledger(ledger_url).recent_sends(0)}
    two.world.data.keys.append(two.key_of("bakery"))
    mended = finish_open_posts(finish=BRIEFLY, return_state=True)

    assert broken.is_failed()
    assert broken.message.startswith("bakery: Taisly does not accept the API key (401")
    assert "3 new outcomes (3 published), 3 still open." in broken.message
    assert states["cafe"] == {PostState.SUCCESS} != states["bakery"]
    assert mended.is_completed()
    assert mended.message.startswith("3 new outcomes (3 published), 0 still open.")


def test_a_client_that_is_chosen_is_the_only_one_that_is_finished(
    clients: dict[str, TaislyAccount], two: SandboxWithClients, clip: Any
) -> None:
    """As a schedule with a client asks for it."""
    for name, block in clients.items():
        publish_video(block, _post(clip, "all", caption=name), return_state=True)

    done = finish_open_posts(clients["cafe"], BRIEFLY, return_state=True)

    assert done.message.startswith("3 new outcomes (3 published), 3 still open.")


def test_a_clients_week_is_a_page_of_its_own(
    clients: dict[str, TaislyAccount], two: SandboxWithClients, clip: Any, client: SyncPrefectClient
) -> None:
    """With its name above, and in the name of the run; and with no post of another one."""
    for name, block in clients.items():
        publish_video(block, _post(clip, "all", caption=f"fresh from {name}"), return_state=True)

    state: Any = show_week(taisly=clients["bakery"], return_state=True)
    wanted = ArtifactFilter(key=ArtifactFilterKey(any_=["reelflow-week-bakery"]))
    (page,) = client.read_artifacts(artifact_filter=wanted)

    assert client.read_flow_run(state.state_details.flow_run_id).name == "bakery: the week"
    assert str(page.data).startswith("# bakery: The week\n")
    assert "fresh from bakery" in str(page.data)
    assert "cafe" not in str(page.data)


def test_open_posts_of_a_client_whose_block_was_deleted_are_said_and_rung_once(
    clients: dict[str, TaislyAccount], two: SandboxWithClients, clip: Any, ledger_url: str
) -> None:
    """By finish-open-posts, checks and in a terminal; under another name with the same key they are found again."""
    publish_video(clients["bakery"], _post(clip, "all"), return_state=True)
    TaislyAccount.delete("bakery")
    said = "1 open post of the client bakery, whose block was deleted: its outcome cannot be read. Save its API key"

    found = [finish_open_posts(finish=BRIEFLY, return_state=True) for _ in range(2)]
    doctor, connections = reelflow("doctor", COLUMNS="500"), check_connections(return_state=True)
    listed = reelflow("posts")
    week, nobody = reelflow("week", "--block", "bakery"), reelflow("week", "--block", "bakkery")
    all_of_them, page = reelflow("week"), show_week(return_state=True)
    ledger = Ledger(ledger_url)
    (send, _), *_ = ledger.recent_sends(0)
    alarms = [alarm for alarm in ledger.alarms_of_runs([str(send.flow_run)]) if alarm.state == "NO KEY"]
    save_client(two, "new-bakery", key=two.key_of("bakery"))
    again = finish_open_posts(finish=BRIEFLY, return_state=True)

    assert all(state.is_completed() and said in state.message for state in found)
    assert re.search(rf"^WARNING +Open posts +{re.escape(said)}", doctor.stdout, re.MULTILINE)
    assert connections.is_completed()
    assert f"Open posts: {said}" in connections.message
    assert said in listed.stdout
    assert "bakery: small.mp4" in listed.stdout
    assert "bakery: small.mp4" in week.stdout
    assert f"{said} again in a block" in all_of_them.stdout
    assert "Waiting for you: open posts of 1 deleted client." in all_of_them.stdout
    assert "Waiting for you: open posts of 1 deleted client." in page.message
    assert "deleted client" not in week.stdout
    assert "There is no block" in nobody.stderr
    assert [alarm.who for alarm in alarms] == ["bakery"]
    assert again.message.startswith("3 new outcomes (3 published), 0 still open.")
    assert "deleted" not in again.message


def test_all_clients_are_listed_and_one_that_does_not_answer_hides_no_other(
    clients: dict[str, TaislyAccount], two: SandboxWithClients
) -> None:
    """Each under its name."""
    two.world.data.keys.remove(two.key_of("bakery"))

    state = list_accounts(return_state=True)

    shown = artifacts_of(state)["markdown"].data
    assert state.is_failed()
    assert state.message.startswith("bakery: Taisly does not accept the API key")
    assert "### Taisly Account cafe" in shown
    assert "TikTok @cafe.daily" in shown


def test_accounts_on_hold_are_named_with_their_client(
    clients: dict[str, TaislyAccount], ledger_url: str, checked: Callable[..., PostRequest]
) -> None:
    """And can be named so to release them."""
    ledger = Ledger(ledger_url)
    held = []
    for name, block in clients.items():
        with block.get_rate_limited(ledger) as taisly:
            tiktok = next(account for account in taisly.ask_accounts() if account.platform == "TikTok")
        held.append(tiktok)
        _hold(ledger, checked(name, accounts=[tiktok]), block.service)

    shown = reelflow("release")
    wrong = reelflow("release", "cafe: YouTube")
    done = reelflow("release", "cafe: TikTok")
    left = [hold.account.id for hold in ledger.on_hold()]

    assert "bakery: TikTok @bakery.daily" in shown.stdout
    assert "cafe: TikTok @cafe.daily" in shown.stdout
    assert "On hold: bakery: TikTok @bakery.daily, cafe: TikTok @cafe.daily." in wrong.stdout
    assert "Released cafe: TikTok @cafe.daily." in done.stdout
    assert left == [held[0].id]


def _hold(ledger: Ledger, request: PostRequest, service: str) -> None:
    for number in range(HOLD_AFTER):
        again = request.model_copy(update={"repeat": number})
        send_id = ledger.claim(again, service=service, owner="me").send_id or ""
        ledger.accepted(send_id, f"{send_id} at Taisly")
        ledger.settle(send_id, PostState.FAILED, "session expired")
