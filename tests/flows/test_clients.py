"""Several clients on a real Prefect server, each with a Taisly account of its own in the sandbox."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentUpdate
from prefect.client.schemas.schedules import CronSchedule
from prefect.variables import Variable
from support.commands import Done, reelflow
from support.deployments import SPECS
from support.sandbox import SandboxWithClients
from support.seen import artifacts_of

from blocks import TaislyAccount
from deployments.preserve import form_of
from deployments.setup.actual import read_record
from deployments.setup.apply import fill_all_forms
from flows.finish import finish_open_posts
from flows.list_accounts import list_accounts
from flows.publish import publish_video
from reelflow.form_schema import choices_of
from reelflow.ledger import Ledger
from reelflow.posts.form import FinishForm, PostForm
from reelflow.records.holds import HOLD_AFTER
from reelflow.records.post_states import PostState
from reelflow.records.posts import PostRequest
from reelflow.time_zones import shown_zone, use_zone
from tasks.choices import MOST_DEPLOYMENTS, ChoiceReader, ask_taisly, our_deployments, refresh_choices
from tasks.zone import TIME_ZONE_VARIABLE

pytestmark = pytest.mark.usefixtures("server")
BRIEFLY = FinishForm(minutes=0.2)


@pytest.fixture
def client(server: str) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as found:
        yield found


@pytest.fixture
def two() -> Iterator[SandboxWithClients]:
    with SandboxWithClients(plan="PRO", clients=["bakery", "cafe"]) as sandbox:
        yield sandbox


@pytest.fixture
def clients(two: SandboxWithClients, client: SyncPrefectClient) -> Iterator[dict[str, TaislyAccount]]:
    """The blocks of two clients, and of nobody else."""
    _delete_blocks(client)
    for name in ("bakery", "cafe"):
        _save(two, name)
    yield {name: TaislyAccount.load(name) for name in ("bakery", "cafe")}
    _delete_blocks(client)


def _save(two: SandboxWithClients, name: str, *, key: str = "") -> None:
    block = TaislyAccount(api_key=key or two.key_of(name), base_url=two.taisly_url, plan="PRO", first_look_seconds=0.05)
    block.save(name, overwrite=True)


def _delete_blocks(client: SyncPrefectClient) -> None:
    for block in client.read_block_documents():
        if block.block_type and block.block_type.slug == "taisly-account":
            client.delete_block_document(block.id)


def _post(clip: Callable[[str], Path], *accounts: str, **more: Any) -> PostForm:
    return PostForm(video=str(clip("small.mp4")), accounts=list(accounts), watch_minutes=0, **more)


def _remove(name: str, *options: str) -> Done:
    return reelflow("setup", "--remove-client", name, *options)


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


def test_open_posts_of_a_client_whose_block_was_deleted_are_said_and_rung_once(
    clients: dict[str, TaislyAccount], two: SandboxWithClients, clip: Any, ledger_url: str
) -> None:
    """By finish-open-posts and in a terminal; under another name with the same key they are found again."""
    publish_video(clients["bakery"], _post(clip, "all"), return_state=True)
    TaislyAccount.delete("bakery")
    said = "3 open posts of the client bakery, whose block was deleted: their outcomes cannot be read. Save its API key"

    found = [finish_open_posts(finish=BRIEFLY, return_state=True) for _ in range(2)]
    listed = reelflow("posts")
    week, nobody = reelflow("week", "--block", "bakery"), reelflow("week", "--block", "bakkery")
    ledger = Ledger(ledger_url)
    (send, _), *_ = ledger.recent_sends(0)
    alarms = [alarm for alarm in ledger.alarms_of_runs([str(send.flow_run)]) if alarm.state == "NO KEY"]
    _save(two, "new-bakery", key=two.key_of("bakery"))
    again = finish_open_posts(finish=BRIEFLY, return_state=True)

    said = said.replace("3 open posts", "1 open post").replace("their outcomes", "its outcome")
    assert all(state.is_completed() and said in state.message for state in found)
    assert said in listed.stdout
    assert "bakery: small.mp4" in listed.stdout
    assert "bakery: small.mp4" in week.stdout
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


def _deployed(
    client: SyncPrefectClient, clients: dict[str, TaislyAccount], name: str = "", flow: str = "publish-inbox"
) -> Any:
    """A flow as setup deployed it for the first client, or as a person did it under another name."""
    spec = SPECS[flow]
    bakery = clients["bakery"]._block_document_id
    parameters = {"taisly": {"$ref": {"block_document_id": str(bakery)}}, "inbox": {"folder": "inbox"}}
    made = client.create_deployment(
        client.create_flow(spec.load()), name or spec.deployment, entrypoint=spec.entrypoint, tags=list(spec.tags),
        parameters={key: value for key, value in parameters.items() if key == "taisly" or key in spec.parameters},
        parameter_openapi_schema=form_of(spec, None, {}), enforce_parameter_schema=True,
        schedules=[DeploymentScheduleCreate(schedule=CronSchedule(cron="0 0 1 1 *"), active=True, slug="yearly")],
    )  # fmt: skip
    return client.read_deployment(made)


def test_a_second_client_is_chosen_in_each_form_and_schedules_keep_theirs(
    clients: dict[str, TaislyAccount], client: SyncPrefectClient
) -> None:
    """No form preselects a client as soon as there are two; once there is one again, it is preselected."""
    before = _deployed(client, clients)
    reader = ChoiceReader(ask_taisly, None)

    refresh_choices(client, [before], reader)
    after = client.read_deployment(before.id)
    again = refresh_choices(client, [after], ChoiceReader(ask_taisly, None))
    dry = _remove("cafe", "--dry-run")
    removed = _remove("cafe", "--yes")
    alone = client.read_deployment(before.id)

    (schedule,) = after.schedules
    assert choices_of(after.parameter_openapi_schema or {})["accounts"] == [
        "bakery: all", "bakery: TikTok @bakery.daily", "bakery: Instagram bakery.daily", "bakery: YouTube Bakery",
        "cafe: all", "cafe: TikTok @cafe.daily", "cafe: Instagram cafe.daily", "cafe: YouTube Cafe",
    ]  # fmt: skip
    assert after.parameters == {"inbox": {"folder": "inbox"}}
    assert schedule.parameters == {"taisly": before.parameters["taisly"]}
    assert (schedule.active, again) == (True, [])
    assert "would remove  block taisly-account/cafe" in dry.stdout
    assert removed.returncode == 0, removed.stderr
    assert alone.parameters == before.parameters
    assert alone.schedules[0].active
    assert choices_of(alone.parameter_openapi_schema or {})["accounts"][:2] == ["all", "TikTok @bakery.daily"]
    client.delete_deployment(before.id)


def test_doctor_says_whose_posts_nothing_finishes(clients: dict[str, TaislyAccount], client: SyncPrefectClient) -> None:
    """Where finish-open-posts is restricted to one client."""
    finisher = _deployed(client, clients, flow="finish-open-posts")

    restricted = reelflow("doctor", COLUMNS="400")
    client.update_deployment(finisher.id, DeploymentUpdate(parameters={}))
    of_all = reelflow("doctor", COLUMNS="400")
    client.delete_deployment(finisher.id)

    words = "finish-open-posts is only for bakery, so nothing finishes the posts of cafe."
    assert words in restricted.stdout
    assert words not in of_all.stdout


def test_a_block_that_was_given_another_clients_key_is_said(
    clients: dict[str, TaislyAccount], two: SandboxWithClients
) -> None:
    """In the UI nothing keeps a person from that."""
    _save(two, "bakery", key=two.key_of("cafe"))

    found = reelflow("doctor", COLUMNS="400")

    assert "bakery and cafe have the same API key, and so the same accounts." in found.stdout


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


def test_a_persons_own_deployment_is_not_given_to_the_client_that_is_left(
    clients: dict[str, TaislyAccount], client: SyncPrefectClient
) -> None:
    """It is for the one that was removed; its schedules are turned off."""
    own = _deployed(client, clients, name="04-bakery")

    removed = _remove("bakery", "--yes")
    after = client.read_deployment(own.id)

    assert removed.returncode == 0, removed.stderr
    assert after.parameters == own.parameters
    assert [schedule.active for schedule in after.schedules] == [False]
    client.delete_deployment(own.id)


def test_forms_have_the_time_zone_of_the_server_whoever_adds_a_client(
    clients: dict[str, TaislyAccount], client: SyncPrefectClient, two: SandboxWithClients
) -> None:
    """Not that of the machine on which setup runs."""
    deployment = _deployed(client, clients, flow="publish-video")
    Variable.set(TIME_ZONE_VARIABLE, "Pacific/Chatham", overwrite=True)
    zone = shown_zone().key

    use_zone("America/Lima")
    fill_all_forms(client)
    after = client.read_deployment(deployment.id)
    use_zone(zone)
    Variable.unset(TIME_ZONE_VARIABLE)

    assert "(Pacific/Chatham)" in str(after.parameter_openapi_schema)
    client.delete_deployment(deployment.id)


def test_our_deployments_are_found_among_many(clients: dict[str, TaislyAccount], client: SyncPrefectClient) -> None:
    """However many others a server has, which come first."""
    flow = client.create_flow_from_name("other")
    others = [client.create_deployment(flow, f"000-{number}") for number in range(MOST_DEPLOYMENTS)]
    ours = _deployed(client, clients)

    found = [deployment.id for deployment in our_deployments(client)]

    for each in [*others, ours.id]:
        client.delete_deployment(each)
    assert ours.id in found
    assert not set(others) & set(found)


def test_removing_a_client_turns_off_its_schedules_and_says_which_posts_are_open(
    clients: dict[str, TaislyAccount], client: SyncPrefectClient, two: SandboxWithClients, clip: Any, ledger_url: str
) -> None:
    """Without a terminal it takes --yes; what was sent stays on record, so that it is not sent again."""
    publish_video(clients["bakery"], _post(clip, "all"), return_state=True)
    deployment = _deployed(client, clients)
    refresh_choices(client, [deployment], ChoiceReader(ask_taisly, None))

    dry = _remove("bakery", "--dry-run")
    refused = _remove("bakery")
    kept = TaislyAccount.load("bakery")
    gone = _remove("bakery", "--yes")
    after = client.read_deployment(deployment.id)

    assert "WARNING: 1 post of it has no outcome yet. Without its key, its outcome cannot be read." in dry.stdout
    assert "1 post of it has no outcome yet. Without its key, its outcome cannot be read." in refused.stderr
    assert read_record(client) == []
    assert "To remove the client bakery without being asked, add --yes." in refused.stderr
    assert kept.client == "bakery"
    assert gone.returncode == 0, gone.stderr
    assert "WARNING: 1 post of it has no outcome yet" in gone.stdout
    assert "schedule yearly of 04-publish-inbox: turned off, since it is for bakery" in gone.stdout
    assert [schedule.active for schedule in after.schedules] == [False]
    assert after.parameters["taisly"] == {"$ref": {"block_document_id": str(clients["cafe"]._block_document_id)}}
    assert len(Ledger(ledger_url).recent_sends(0)) == 1
    assert "There is no client 'bakery'. Clients: cafe." in _remove("bakery", "--yes").stderr
    client.delete_deployment(deployment.id)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--client", "Corner Café"], "A client's name has only the letters a to z, digits and dashes, not 'Corner"),
        (["--remove-client", "cafe", "--plan", "PRO"], "--remove-client goes with --dry-run and --yes only."),
    ],
)
def test_what_makes_no_sense_is_refused(options: list[str], words: str, clients: dict[str, TaislyAccount]) -> None:
    """Before anything is changed."""
    done = reelflow("setup", *options)

    assert done.returncode == 1
    assert words in done.stderr
