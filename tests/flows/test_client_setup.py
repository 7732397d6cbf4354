"""How setup adds and removes clients, and what doctor says of them, on a real Prefect server."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentUpdate
from prefect.client.schemas.schedules import CronSchedule
from prefect.variables import Variable
from support.clients import save_client
from support.commands import Done, reelflow
from support.deployments import SPECS
from support.sandbox import SandboxWithClients

from blocks import TaislyAccount
from deployments.preserve import form_of
from deployments.setup.actual import read_record
from deployments.setup.apply import fill_all_forms
from flows.publish import publish_video
from reelflow.form_schema import choices_of
from reelflow.ledger import Ledger
from reelflow.posts.form import PostForm
from reelflow.time_zones import shown_zone, use_zone
from tasks.choices import MOST_DEPLOYMENTS, ChoiceReader, ask_taisly, our_deployments, refresh_choices
from tasks.ledger import open_ledger
from tasks.zone import TIME_ZONE_VARIABLE

pytestmark = pytest.mark.usefixtures("server")


def _remove(name: str, *options: str) -> Done:
    return reelflow("setup", "--remove-client", name, *options)


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
    gone = {"taisly": {"$ref": {"block_document_id": str(uuid4())}}}
    client.update_deployment(finisher.id, DeploymentUpdate(parameters=gone))
    of_nobody = reelflow("doctor", COLUMNS="400")
    client.delete_deployment(finisher.id)

    words = "finish-open-posts is only for bakery, so nothing finishes the posts of cafe."
    assert words in restricted.stdout
    assert "finish-open-posts is only for" not in of_all.stdout
    assert "only for a client that is gone, so nothing finishes the posts of bakery, cafe." in of_nobody.stdout


def test_a_block_that_was_given_another_clients_key_is_said(
    clients: dict[str, TaislyAccount], two: SandboxWithClients
) -> None:
    """In the UI nothing keeps a person from that."""
    save_client(two, "bakery", key=two.key_of("cafe"))

    found = reelflow("doctor", COLUMNS="400")

    assert "bakery and cafe have the same API key, and so the same accounts." in found.stdout


def test_doctor_says_which_schedule_has_lost_its_client(
    clients: dict[str, TaislyAccount], client: SyncPrefectClient, two: SandboxWithClients
) -> None:
    """Also if the client was added again: its block is another one. One that is off waits for a person anyway."""
    deployment = _deployed(client, clients)
    (schedule,) = deployment.schedules
    removed = _remove("bakery", "--yes")
    save_client(two, "bakery")
    off = reelflow("doctor", COLUMNS="400")
    lost = {"taisly": {"$ref": {"block_document_id": str(clients["bakery"]._block_document_id)}}}
    client.update_deployment_schedule(deployment.id, schedule.id, active=True, slug="yearly", parameters=lost)
    on = reelflow("doctor", COLUMNS="400")
    found = {"taisly": {"$ref": {"block_document_id": str(TaislyAccount.load("bakery")._block_document_id)}}}
    client.update_deployment_schedule(deployment.id, schedule.id, active=True, slug="yearly", parameters=found)
    again = reelflow("doctor", COLUMNS="400")
    refresh_choices(client, [client.read_deployment(deployment.id)], ChoiceReader(ask_taisly, None))
    _switch(client, deployment.id, schedule.id, active=True)
    switched = reelflow("doctor", COLUMNS="400")
    client.delete_deployment(deployment.id)

    words = "its schedule yearly refers to a deleted block, so its runs fail. Choose another block as 'Taisly account'"
    assert "The forms offer the accounts of 1 client: cafe.\nThey preselect cafe.\n" in removed.stdout
    assert words in on.stdout
    assert words not in off.stdout + again.stdout
    assert "its schedule yearly lacks 'Taisly account', 'Posting slots', so its runs fail." in switched.stdout
    assert "lacks 'Taisly account'" not in off.stdout + on.stdout + again.stdout


def _switch(client: SyncPrefectClient, deployment: Any, schedule: Any, *, active: bool) -> None:
    """Turn a schedule on or off as the UI's switch does, by which Prefect's server forgets its values."""
    client.request("PATCH", f"/deployments/{deployment}/schedules/{schedule}", json={"active": active})


def test_a_scheduled_post_of_a_client_that_was_removed_is_not_cancelled_with_anothers_key(
    clients: dict[str, TaislyAccount], client: SyncPrefectClient, two: SandboxWithClients, clip: Any
) -> None:
    """Nor is that suggested: what helps is to add the client again."""
    for block in clients.values():
        with block.get_rate_limited(open_ledger()) as taisly:
            taisly.ledger.remember_accounts(taisly.key, taisly.choose_accounts(["all"]))
    later = datetime.now(UTC) + timedelta(hours=3)
    post = PostForm(video=str(clip("small.mp4")), accounts=["youtube"], watch_minutes=0, scheduled_for=later)
    publish_video(clients["bakery"], post, return_state=True)
    with_it = reelflow("posts")
    _remove("bakery", "--yes")
    without = reelflow("posts")
    ((send, _),) = open_ledger().recent_sends(0)
    refused = reelflow("cancel", str(send.history_id), "--block", "cafe")

    assert f"To cancel it: reelflow cancel {send.history_id} --block bakery\n" in with_it.stdout
    assert "The block of its Taisly account was deleted. To cancel it, add the client bakery again." in without.stdout
    assert "--block cafe" not in without.stdout
    assert "Choose bakery as 'Taisly account' (--block); if it was removed, add it again first." in refused.stderr


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
    post = PostForm(video=str(clip("small.mp4")), accounts=["all"], watch_minutes=0)
    publish_video(clients["bakery"], post, return_state=True)
    deployment = _deployed(client, clients)
    refresh_choices(client, [deployment], ChoiceReader(ask_taisly, None))

    dry = _remove("bakery", "--dry-run")
    refused = _remove("bakery")
    kept = TaislyAccount.load("bakery")
    gone = _remove("bakery", "--yes")
    after = client.read_deployment(deployment.id)

    assert "WARNING: 1 post of bakery has no outcome yet. Without the API key, outcomes cannot be read." in dry.stdout
    assert "1 post of bakery has no outcome yet. Without the API key, outcomes cannot be read." in refused.stderr
    assert read_record(client) == []
    assert "To remove the client bakery without being asked, add --yes." in refused.stderr
    assert kept.client == "bakery"
    assert gone.returncode == 0, gone.stderr
    assert "WARNING: 1 post of bakery has no outcome yet" in gone.stdout
    assert "schedule yearly of 04-publish-inbox: turned off, since it is for bakery" in gone.stdout
    assert [schedule.active for schedule in after.schedules] == [False]
    assert after.parameters["taisly"] == {"$ref": {"block_document_id": str(clients["cafe"]._block_document_id)}}
    assert len(Ledger(ledger_url).recent_sends(0)) == 1
    assert "There is no client 'bakery'. Clients: cafe." in _remove("bakery", "--yes").stderr
    client.delete_deployment(deployment.id)


def test_a_schedule_that_has_lost_its_client_is_not_given_to_the_one_that_is_left(
    clients: dict[str, TaislyAccount], client: SyncPrefectClient
) -> None:
    """With one client left, forms preselect it, and so would a schedule that names none."""
    deployment = _deployed(client, clients)
    refresh_choices(client, [deployment], ChoiceReader(ask_taisly, None))
    _switch(client, deployment.id, deployment.schedules[0].id, active=True)

    gone = _remove("cafe", "--yes")
    after = client.read_deployment(deployment.id)
    client.delete_deployment(deployment.id)

    assert "schedule yearly of 04-publish-inbox: turned off, since it names no client" in gone.stdout
    assert [schedule.active for schedule in after.schedules] == [False]


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
