"""`reelflow setup` and `teardown`, and `prefect deploy`, against a Prefect server of their own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from prefect.automations import AutomationCore
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_HOME
from support.api import ask
from support.client import client_of
from support.commands import Done, reelflow
from support.deployments import SPECS
from support.ledgers import forget_ledger
from support.other_server import other_server
from support.prefect_server import prefect_server
from support.sink import Sink, save_notification
from support.waiting import until

import blocks
from blocks import TaislyAccount
from deployments.preserve import SERVED_LIMIT
from deployments.serve import deployments_to_serve
from deployments.setup.blocks import register_block_types
from deployments.setup.changes import Changes
from deployments.setup.desired import desired_automations
from deployments.spec import deployment_specs
from reelflow.sandbox import Sandbox
from reelflow.time_zones import machine_zone
from tasks.zone import TIME_ZONE_VARIABLE

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
DEPLOYMENTS = len(deployment_specs())
FOR_PHONES = sum(spec.for_phones for spec in deployment_specs())
AUTOMATIONS = len(desired_automations(str(uuid.uuid4())))
TYPES = len(blocks.BY_SLUG)
TAISLY = TaislyAccount.get_block_type_slug()
MADE = 2 + 2 + 1 + DEPLOYMENTS + AUTOMATIONS + 1
"""What setup creates: blocks and work pools for posts and for one PC, the queue of upkeep, deployments, automations,
the time zone."""


class Server:
    """A Prefect server, and commands that talk to it."""

    def __init__(self, address: str, folder: Path) -> None:
        self.api = f"{address}/api"
        self.folder = folder

    def run(self, *words: str, **environment: str) -> Done:
        """A command in a process of its own."""
        own = {"PREFECT_API_URL": self.api, "PREFECT_HOME": str(self.folder / "home"), "NO_COLOR": "1",
               "COLUMNS": "200", "REELFLOW_LEDGER_URL": f"sqlite:///{self.folder / 'ledger.db'}"}  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=ROOT, env={**os.environ, **own, **environment}, check=False,
            capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=180,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def reelflow(self, *words: str, api: str = "", **environment: str) -> Done:
        """A command of reelflow in this process."""
        with self.as_client(api or self.api):
            return reelflow(*words, **environment)

    def as_client(self, api: str) -> Any:
        """This process as a client of a server."""
        return client_of(api, {PREFECT_HOME: self.folder / "home"})

    def setup(self, *options: str, api: str = "", **environment: str) -> Done:
        return self.reelflow("setup", *options, api=api, **environment)

    def teardown(self) -> Done:
        return self.reelflow("teardown")

    def all(self, kind: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = ask("POST", f"{self.api}/{kind}/filter")
        return found


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory, new_database: Path) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("own")
    with prefect_server(folder, new_database) as address:
        yield Server(address, folder)


@pytest.fixture
def sink() -> Iterator[Sink]:
    found = Sink()
    yield found
    found.close()


def _emit(server: Server, event: str, resource: str, name: str, **payload: str) -> None:
    """What a run of ours tells Prefect."""
    ask("POST", f"{server.api}/events", [{
        "id": str(uuid.uuid4()), "occurred": datetime.now(UTC).isoformat(), "event": event, "payload": payload,
        "resource": {"prefect.resource.id": resource, "prefect.resource.name": name}, "related": [],
    }])  # fmt: skip


def _start_run(server: Server, deployment: dict[str, Any]) -> str:
    path = f"{server.api}/deployments/{deployment['id']}/create_flow_run"
    return str(ask("POST", path, state={"type": "SCHEDULED"})["id"])


def test_setup_creates_everything_once_and_teardown_removes_it(own_server: Server, sandbox: Any, sink: Sink) -> None:
    """Dry, for real, again (nothing changes, what a person paused stays so); then notifications, and teardown."""
    save_notification(own_server.api, sink.url)
    options = ["--sandbox", sandbox.url, "--notify", "custom-webhook/sink", "--time-zone", "Europe/Berlin"]

    dry = own_server.setup(*options, "--dry-run")
    wrong = own_server.setup("--sandbox", sandbox.url, "--notify", "taisly-account/main")
    untouched = own_server.all("deployments") + own_server.all("work_pools")
    first = own_server.setup(*options)
    (finish,) = [d for d in own_server.all("deployments") if d["name"] == "finish-open-posts"]
    (schedule,) = finish["schedules"]
    ask("PATCH", f"{own_server.api}/deployments/{finish['id']}/schedules/{schedule['id']}", active=False)
    second = own_server.setup(*options)

    deployments = {d["name"]: d for d in own_server.all("deployments")}
    assert dry.returncode == 0, dry.stderr
    assert f"Dry run, nothing was changed: {MADE} to create" in dry.stdout
    assert (
        "no notification block 'taisly-account/main'. Saved notification blocks: custom-webhook/sink." in wrong.stderr
    )
    assert untouched == []
    assert first.returncode == 0, first.stdout + first.stderr
    assert f"{MADE} created, {TYPES} unchanged." in first.stdout
    assert f"{MADE + TYPES} unchanged." in second.stdout, second.stdout
    assert schedule["active"] is True
    assert schedule["schedule"]["timezone"] == "Europe/Berlin"
    assert {d["name"] for d in deployments.values() if any(s["active"] for s in d["schedules"])} == {
        "05-show-week", "finish-phone-tasks", "check-connections", "watch-runs",
    }  # fmt: skip
    assert "taisly_sandbox" not in dry.stdout + first.stdout + second.stdout
    assert "block_document_id" in str(deployments["01-publish-video"]["parameters"])  # the form preselects it
    assert {a["name"] for a in own_server.all("automations")} == {"reelflow: alarms", "reelflow: a worker stopped"}

    alarm = {"subject": "reelflow: bread.mp4 failed (TikTok)", "body": "loud"}
    _emit(own_server, "reelflow.alarm", "reelflow.alarm.x", alarm["subject"], **alarm)
    _emit(own_server, "reelflow.post.failed", "reelflow.post.x.y", "bread.mp4 at TikTok", state="FAILED", detail="loud")
    _emit(own_server, "reelflow.alarm", "reelflow.alarm.y", "two", subject="two", body="quiet")
    until("the notifications", lambda: len(sink.got) >= 2)
    got = {each["subject"]: each["body"] for each in map(json.loads, sink.got)}
    assert got == {alarm["subject"]: "loud", "two": "quiet"}

    with own_server.as_client(own_server.api), get_client(sync_client=True) as client:
        (alarms,) = client.read_automations_by_name("reelflow: alarms")
        changed = alarms.model_dump(exclude={"id", "owner_resource"}) | {"enabled": False, "description": "mine"}
        client.update_automation(alarms.id, AutomationCore.model_validate(changed))
    third = own_server.setup(*options)
    (alarms,) = [a for a in own_server.all("automations") if a["name"] == "reelflow: alarms"]
    assert f"1 updated, {MADE + TYPES - 1} unchanged." in third.stdout, third.stdout
    assert alarms["description"].endswith("one message for each cause.")
    assert alarms["enabled"] is False  # a person has turned it off

    back = own_server.teardown()
    assert f"{MADE} removed." in back.stdout, back.stdout + back.stderr
    assert own_server.all("deployments") == []
    assert own_server.all("automations") == []
    assert own_server.all("variables") == []
    assert [d["name"] for d in own_server.all("block_documents")] == ["sink"]


def _of(server: Server, name: str) -> dict[str, Any]:
    found: dict[str, Any] = ask("GET", f"{server.api}/deployments/name/{SPECS[name].full_name}")
    return found


def _set_by_hand(server: Server) -> dict[str, Any]:
    """What a person changes in the UI; and how it looks then."""
    publish, warm_up = _of(server, "publish-video"), _of(server, "warm-up-accounts")
    path = f"{server.api}/deployments"
    own = {"schedule": {"cron": "0 18 * * 5", "timezone": "Europe/Rome"}, "active": True, "parameters": {}}
    ask("POST", f"{path}/{publish['id']}/schedules", [own])
    morning = warm_up["schedules"][0]
    earlier = {"schedule": {"cron": "30 7 * * *", "timezone": "Europe/Rome"}, "active": True}
    ask("PATCH", f"{path}/{warm_up['id']}/schedules/{morning['id']}", **earlier)
    parameters = {**warm_up["parameters"], "warm_up": {"devices": ["R58N01SANDBOX"], "duration_seconds": 90}}
    ask("PATCH", f"{path}/{warm_up['id']}", parameters=parameters, tags=[*warm_up["tags"], "mine"])
    return _by_hand(server)


def _by_hand(server: Server) -> dict[str, Any]:
    publish, warm_up = _of(server, "publish-video"), _of(server, "warm-up-accounts")
    schedules = [*publish["schedules"], *warm_up["schedules"]]
    return {
        "ids": {s["id"] for s in schedules},
        "schedules": [(s["schedule"]["cron"], s["schedule"]["timezone"], s["active"]) for s in schedules],
        "parameters": warm_up["parameters"],
        "tags": warm_up["tags"],
    }


def test_what_a_person_has_set_stays(own_server: Server, sandbox: Any) -> None:
    """Schedules, their times, default parameters, tags; and the folder of an earlier setup."""
    own_server.setup("--sandbox", sandbox.url, "--folder", "/srv/rf")
    ours = _set_by_hand(own_server)

    again = own_server.setup()
    there = _of(own_server, "warm-up-accounts")

    assert len(ours["schedules"]) == 2
    assert _by_hand(own_server) == ours
    assert again.returncode == 0, again.stderr
    assert "updated" not in again.stdout, again.stdout
    assert "/srv/rf" in str(there["pull_steps"])

    moved = own_server.setup("--time-zone", "Europe/Berlin")
    zones = {s[0]: s[1] for s in _by_hand(own_server)["schedules"]}
    (finish,) = _of(own_server, "finish-open-posts")["schedules"]
    assert zones == {"0 18 * * 5": "Europe/Rome", "30 7 * * *": "Europe/Rome"}, moved.stdout
    assert finish["schedule"]["timezone"] == "Europe/Berlin"
    there = _of(own_server, "warm-up-accounts")
    assert there["schedules"][0]["id"] in ours["ids"]
    assert there["schedules"][0]["active"] is True
    assert own_server.teardown().returncode == 0


def _limit(server: Server, name: str) -> tuple[int | None, int | None]:
    """How many runs of a deployment may be active at once, and for how long one that was taken keeps its place."""
    found = _of(server, name)
    limit, options = found["global_concurrency_limit"], found["concurrency_options"] or {}
    return limit and limit["limit"], options.get("grace_period_seconds")


def _set_limit(server: Server, name: str, limit: int, *, grace: int | None = None, **changes: Any) -> None:
    options = {"collision_strategy": "ENQUEUE", **({"grace_period_seconds": grace} if grace else {})}
    path = f"{server.api}/deployments/{_of(server, name)['id']}"
    ask("PATCH", path, concurrency_limit=limit, concurrency_options=options, **changes)


def test_limits_of_an_earlier_setup_are_taken_back_and_those_of_a_person_stay(own_server: Server, sandbox: Any) -> None:
    """What sends posts had 6 or 4 once, and what waits for its turn a grace period too short for a slow start."""
    own_server.setup("--sandbox", sandbox.url)
    new = [_limit(own_server, name) for name in ("publish-video", "publish-campaign", "finish-open-posts")]
    _set_limit(own_server, "publish-video", 6, version="1")
    _set_limit(own_server, "publish-and-engage", 4, version="1")
    _set_limit(own_server, "publish-campaign", 10, version="1")
    _set_limit(own_server, "warm-up-accounts", 2, grace=60)
    _set_limit(own_server, "comment-on-posts", 2, grace=90)

    dry = own_server.setup("--dry-run")
    before = _limit(own_server, "publish-video")
    done = own_server.setup()
    taken_back = [_limit(own_server, name)[0] for name in ("publish-video", "publish-and-engage")]
    _set_limit(own_server, "publish-video", 6)
    again = own_server.setup()
    then = own_server.setup()

    assert new == [(None, None), (None, None), (1, 60)]
    assert "4 to update" in dry.stdout  # the campaign's version is one of them
    assert before == (6, None)
    assert "4 updated" in done.stdout
    assert taken_back == [None, None]
    assert _limit(own_server, "publish-campaign") == (10, None)
    assert _limit(own_server, "warm-up-accounts") == (2, None)
    assert _limit(own_server, "comment-on-posts") == (2, 90)
    assert _limit(own_server, "publish-video") == (6, None), again.stdout
    assert "updated" not in then.stdout
    assert own_server.teardown().returncode == 0


def test_upkeep_has_a_queue_that_goes_first_and_a_person_may_order_it_otherwise(
    own_server: Server, sandbox: Any
) -> None:
    """Its priority is set once; a deployment that a person moved to a queue of their own stays there."""
    first = own_server.setup("--sandbox", sandbox.url)
    queues = f"{own_server.api}/work_pools/reelflow/queues"
    made = {queue["name"]: queue["priority"] for queue in ask("POST", f"{queues}/filter")}
    used = {d["name"]: d["work_queue_name"] for d in own_server.all("deployments") if d["work_pool_name"] == "reelflow"}
    ask("PATCH", f"{queues}/upkeep", priority=7)
    ask("POST", queues, name="mine")
    ask("PATCH", f"{own_server.api}/deployments/{_of(own_server, 'check-connections')['id']}", work_queue_name="mine")

    again = own_server.setup()

    assert made == {"upkeep": 1, "default": 2}
    assert "created    work-queue reelflow/upkeep" in first.stdout
    assert "Priority 1." in first.stdout
    assert {name for name, queue in used.items() if queue == "upkeep"} == {
        "finish-open-posts", "watch-runs", "check-connections", "05-show-week",
    }  # fmt: skip
    assert "Priority 7." in again.stdout
    assert "updated" not in again.stdout, again.stdout
    assert _of(own_server, "check-connections")["work_queue_name"] == "mine"
    assert "removed    work-queue reelflow/upkeep" in own_server.teardown().stdout


def test_what_is_served_leaves_room_for_upkeep(own_server: Server, sandbox: Any) -> None:
    """One process has no queue that goes first, so what sends posts has a limit; workers do not inherit it."""
    own_server.setup("--serve", "--sandbox", sandbox.url)
    for name in ("publish-video", "finish-open-posts"):
        _serve(own_server, name)
    served = [_limit(own_server, name) for name in ("publish-video", "finish-open-posts")]
    _set_limit(own_server, "publish-video", 2)
    _serve(own_server, "publish-video")
    by_hand = _limit(own_server, "publish-video")[0]
    _set_limit(own_server, "publish-video", SERVED_LIMIT)
    own_server.setup()

    assert served == [(SERVED_LIMIT, None), (1, 60)]
    assert by_hand == 2
    assert _limit(own_server, "publish-video")[0] is None
    for name in ("publish-video", "finish-open-posts"):  # teardown leaves what serving made
        ask("DELETE", f"{own_server.api}/deployments/{_of(own_server, name)['id']}")
    assert own_server.teardown().returncode == 0


def _schedule(server: Server, name: str) -> dict[str, Any]:
    (found,) = _of(server, name)["schedules"]
    return {key: found[key] for key in ("id", "slug", "active", "parameters")}


def _delete_block(server: Server, block_type: str) -> None:
    (block,) = [b for b in server.all("block_documents") if b["block_type"]["slug"] == block_type]
    ask("DELETE", f"{server.api}/block_documents/{block['id']}")


def _serve(server: Server, name: str) -> None:
    """Serve one deployment, as far as the server sees it."""
    with server.as_client(server.api):
        (deployment,) = [each for each in deployments_to_serve("main", {}) if each.flow_name == name]
        deployment.apply()


def test_setup_leaves_flows_that_are_served_to_their_process(own_server: Server) -> None:
    """Moved to a work pool, `reelflow up` could not serve them the next time. What is omitted is said."""
    _serve(own_server, "publish-video")
    served = _of(own_server, "publish-video")["id"]
    ask("POST", f"{own_server.api}/deployments/get_scheduled_flow_runs", deployment_ids=[served])  # as its process does

    before = own_server.all("block_documents")  # a test may have left one
    refused = [own_server.setup(*options) for options in (("--phone-pc", "studio"), ("--folder", "/srv/rf"))]
    after = own_server.all("block_documents")
    dry = own_server.setup("--dry-run")
    done = own_server.setup("--slots", "all: daily 6pm")
    chosen = own_server.setup("--serve")

    assert [each.returncode for each in (*refused, dry, done, chosen)] == [1, 1, 0, 0, 0], done.stderr
    assert ["is for workers, so nothing was changed. To use workers" in each.stderr for each in refused] == [True] * 2
    assert after == before
    for each in (dry, done, chosen):
        assert "The flows of this server are being served, for example by `reelflow up`" in each.stdout
        assert ("setup creates no work pools or deployments. To use workers" in each.stdout) == (each is not chosen)
    assert own_server.all("work_pools") == []
    assert [each["work_pool_name"] for each in own_server.all("deployments")] == [None]
    (block,) = [b for b in own_server.all("block_documents") if b["block_type"]["slug"] == "posting-slots"]
    assert block["data"]["slots"] == ["all: daily 6pm"]
    ask("DELETE", f"{own_server.api}/deployments/{served}")
    assert own_server.teardown().returncode == 0


def test_a_schedule_waits_for_its_block_and_a_persons_pause_stays(own_server: Server, sandbox: Any) -> None:
    """Paused while the block is missing, on when it is saved; one that a person paused stays off, whatever comes."""
    own_server.setup()
    waiting = _schedule(own_server, "finish-phone-tasks")
    own_server.setup("--sandbox", sandbox.url)
    on = _schedule(own_server, "finish-phone-tasks")
    path = f"{own_server.api}/deployments/{_of(own_server, 'finish-phone-tasks')['id']}/schedules/{on['id']}"
    ask("PATCH", path, active=False)
    _delete_block(own_server, "tikmatrix-host")
    own_server.setup()
    lacking = _of(own_server, "finish-phone-tasks")["parameters"]
    again = own_server.setup("--sandbox", sandbox.url)

    assert waiting["active"] is False
    assert waiting["slug"] != "every-5-minutes"
    assert on == {**waiting, "slug": "every-5-minutes", "active": True}
    assert lacking == {}
    assert _schedule(own_server, "finish-phone-tasks") == {**on, "active": False}, again.stdout
    assert own_server.teardown().returncode == 0


def test_a_served_schedule_waits_for_its_block_and_a_persons_pause_stays(own_server: Server, sandbox: Any) -> None:
    """As with workers: there it is once, under the name of prefect.yaml."""
    own_server.setup("--serve")
    _serve(own_server, "finish-phone-tasks")
    waiting = _schedule(own_server, "finish-phone-tasks")
    own_server.setup("--serve", "--sandbox", sandbox.url)
    _serve(own_server, "finish-phone-tasks")
    on = _schedule(own_server, "finish-phone-tasks")
    path = f"{own_server.api}/deployments/{_of(own_server, 'finish-phone-tasks')['id']}"
    ask("PATCH", f"{path}/schedules/{on['id']}", active=False)
    ask("PATCH", path, parameters={})  # as serving leaves it without the block
    _serve(own_server, "finish-phone-tasks")

    assert waiting["active"] is False
    assert on == {**waiting, "slug": "every-5-minutes", "active": True}
    assert _schedule(own_server, "finish-phone-tasks") == {**on, "active": False}
    ask("DELETE", path)
    assert own_server.teardown().returncode == 0


def test_a_schedule_that_moves_to_another_zone_keeps_its_parameters(own_server: Server, sandbox: Any) -> None:
    """Those that a person gave it in the UI; Prefect forgets what is not sent along."""
    own_server.setup("--sandbox", sandbox.url, "--time-zone", "Europe/Berlin")
    before = _schedule(own_server, "warm-up-accounts")
    path = f"{own_server.api}/deployments/{_of(own_server, 'warm-up-accounts')['id']}/schedules/{before['id']}"
    parameters = {"warm_up": {"devices": ["all"], "duration_seconds": 90}}
    ask("PATCH", path, parameters=parameters)
    own_server.setup("--time-zone", "Asia/Tokyo")

    assert _schedule(own_server, "warm-up-accounts") == {**before, "parameters": parameters}
    assert own_server.teardown().returncode == 0


def test_the_ledger_is_stored_once_for_the_whole_server(own_server: Server, sandbox: Any) -> None:
    """In a block, where a password is a secret, and in no deployment; another one is refused; teardown leaves it."""
    ledger, block = f"sqlite:///{own_server.folder / 'ledger.db'}", "block reelflow-ledger/main"

    dry = own_server.setup("--sandbox", sandbox.url, "--ledger-url", ledger, "--dry-run")
    first = own_server.setup("--sandbox", sandbox.url, "--ledger-url", ledger)
    warm_up = _of(own_server, "warm-up-accounts")
    old = {**warm_up["job_variables"], "env": {**warm_up["job_variables"]["env"], "REELFLOW_LEDGER_URL": ledger}}
    ask("PATCH", f"{own_server.api}/deployments/{warm_up['id']}", job_variables=old)
    again = own_server.setup("--ledger-url", ledger)
    deployments = str(own_server.all("deployments"))
    other = own_server.setup("--ledger-url", f"sqlite:///{own_server.folder / 'other.db'}")
    down = own_server.teardown()
    gone = own_server.setup("--sandbox", sandbox.url, "--ledger-url", "postgresql://nobody@127.0.0.1:1/none")

    assert f"would create  {block}" in dry.stdout
    assert f"created    {block}" in first.stdout
    assert f"unchanged  {block}" in again.stdout
    assert "updated    deployment warm-up-accounts/21-warm-up-accounts" in again.stdout
    assert "1 updated" in again.stdout
    assert "warm-up-accounts" in deployments
    assert "REELFLOW_LEDGER_URL" not in deployments
    assert (other.returncode, gone.returncode) == (1, 1)
    assert "`reelflow ledger move URL`" in other.stderr
    assert "cannot be used" in gone.stderr
    assert f"kept       {block}: it says which ledger knows what was posted" in down.stdout
    assert "reelflow-ledger" in [d["block_type"]["slug"] for d in own_server.all("block_documents")]
    assert own_server.teardown().returncode == 0


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_the_stored_password_of_a_ledger_is_kept(own_server: Server, sandbox: Any, url: str) -> None:
    """Setup is given the same URL again, without it: nothing changes, in a dry run neither, and nobody is asked."""
    server, block = own_server.api.removesuffix("/api"), "block reelflow-ledger/main"
    known = sa.make_url(url).set(password="secret1").render_as_string(hide_password=False)
    forget_ledger(server)
    first = own_server.setup("--sandbox", sandbox.url, "--ledger-url", known)

    again = own_server.setup("--ledger-url", url)
    dry = own_server.setup("--ledger-url", url, "--dry-run")
    changed = own_server.setup("--ledger-url", known.replace("secret1", "secret2"), "--dry-run")

    assert f"created    {block}" in first.stdout
    assert f"unchanged  {block}" in again.stdout
    assert f"unchanged  {block}" in " ".join(dry.stdout.split()).replace("unchanged ", "unchanged  ")
    assert f"would update  {block}" in changed.stdout
    forget_ledger(server)
    assert own_server.teardown().returncode == 0


def test_two_phone_pcs_have_a_pool_and_deployments_each(own_server: Server, sandbox: Any) -> None:
    """Named for the PC, so that publish-and-engage can hand its part to one of them; each with its own folder.

    One that is named twice is one.
    """
    pcs = ["--phone-pc", "attic", "--phone-pc", "cellar", "--phone-pc", "attic"]
    made = own_server.setup("--sandbox", sandbox.url, *pcs)
    own_server.setup("--phone-pc", "cellar", "--folder", r"C:\reelflow")
    again = own_server.setup()

    flows = {f["id"]: f["name"] for f in own_server.all("flows")}
    names = {f"{flows[d['flow_id']]}/{d['name']}": d for d in own_server.all("deployments")}
    assert made.returncode == 0, made.stderr
    assert names["warm-up-accounts/21-attic"]["work_pool_name"] == "phones-attic"
    assert names["warm-up-accounts/21-cellar"]["work_pool_name"] == "phones-cellar"
    assert r"C:\reelflow" in str(names["warm-up-accounts/21-cellar"]["pull_steps"]).replace("\\\\", "\\")
    assert str(ROOT) in str(names["warm-up-accounts/21-attic"]["pull_steps"])
    assert str(ROOT) in str(names["publish-video/01-publish-video"]["pull_steps"])
    assert f"\n{TYPES + 3 + 3 + 1 + DEPLOYMENTS + FOR_PHONES + 1} unchanged." in again.stdout, again.stdout
    assert len(names) == DEPLOYMENTS + FOR_PHONES
    assert own_server.teardown().returncode == 0


@contextlib.contextmanager
def _serving(server: Server) -> Iterator[None]:
    """`python -m deployments.serve`, until it has ended by Ctrl-C."""
    environment = {**os.environ, "PREFECT_API_URL": server.api, "PREFECT_RUNNER_POLL_FREQUENCY": "1",
                   "REELFLOW_LEDGER_URL": f"sqlite:///{server.folder / 'ledger.db'}"}  # fmt: skip
    with (server.folder / "serve.log").open("wb") as log:
        serving = subprocess.Popen([sys.executable, "-m", "deployments.serve"], cwd=ROOT, env=environment, stdout=log,
                                   stderr=log, start_new_session=True)  # fmt: skip
    try:
        yield
    finally:
        os.killpg(serving.pid, signal.SIGINT)
        serving.wait(60)


def _ready(server: Server) -> int:
    return sum(d["status"] == "READY" and not d["paused"] for d in server.all("deployments"))


def test_serving_and_workers_do_not_mix(own_server: Server, sandbox: Any) -> None:
    """What setup created for workers is not served, and that is said; with --serve everything runs from one process."""
    own_server.setup("--sandbox", sandbox.url)
    refused = own_server.run("deployments.serve")
    own_server.teardown()
    own_server.setup("--sandbox", sandbox.url, "--serve", "--time-zone", "Europe/Berlin")
    with _serving(own_server):
        until("the deployments", lambda: _ready(own_server) == DEPLOYMENTS)
        zones = {s["schedule"]["timezone"] for d in own_server.all("deployments") for s in d["schedules"]}
        ours = _set_by_hand(own_server)
    with _serving(own_server):  # from its start again
        until("the deployments", lambda: _ready(own_server) == DEPLOYMENTS)
        kept = _by_hand(own_server)
        run = _start_run(own_server, _of(own_server, "check-connections"))
        until("the run", lambda: _run_state(own_server, run) in ("COMPLETED", "FAILED", "CRASHED"))
        ended = _run_state(own_server, run)

    assert refused.returncode == 1
    assert "belongs to the work pool" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert ended == "COMPLETED"
    assert zones == {"Europe/Berlin"}
    assert {**kept, "ids": 0} == {**ours, "ids": 0}  # Prefect creates those without a slug again
    for deployment in own_server.all("deployments"):
        ask("DELETE", f"{own_server.api}/deployments/{deployment['id']}")
    assert own_server.teardown().returncode == 0


def _run_state(server: Server, run: str) -> str:
    return str(ask("GET", f"{server.api}/flow_runs/{run}")["state_type"])


def test_from_the_sandbox_to_the_real_thing(own_server: Server, sandbox: Any) -> None:
    """With a key and phones of one's own the same blocks lead to the real services, and nothing shows the key."""
    own_server.setup("--sandbox", sandbox.url)
    own_server.setup("--plan", "PRO", "--time-zone", "Asia/Tokyo")  # the address stays with the sandbox's key
    tried = {b["block_type"]["slug"]: b["data"] for b in own_server.all("block_documents")}
    offline = {"TAISLY_API_KEY": "taisly_verysecret", "HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}
    real = own_server.setup("--phone", "REAL1: mara.bakes", **offline)

    blocks = {f"{b['block_type']['slug']}": b["data"] for b in own_server.all("block_documents")}
    assert (tried["taisly-account"]["plan"], tried["taisly-account"]["base_url"]) == ("PRO", sandbox.taisly_url)
    assert tried["tikmatrix-host"]["time_zone"] == ""  # that of the server
    assert tried["tikmatrix-host"]["base_url"] == sandbox.tikmatrix_url
    assert real.returncode == 0, real.stderr
    assert "2 updated" in real.stdout
    moved = f"now at http://localhost:50809/api/v1 (it was: {sandbox.tikmatrix_url}); 20 phones of the sandbox removed"
    assert moved in real.stdout
    assert "The API key has not been tried: " in real.stdout
    assert blocks["taisly-account"]["base_url"] == "https://app.taisly.com/api/private"
    assert blocks["tikmatrix-host"]["base_url"] == "http://localhost:50809/api/v1"
    assert blocks["tikmatrix-host"]["phones"] == ["REAL1: mara.bakes"]
    assert "verysecret" not in real.stdout + real.stderr + str(blocks)
    assert own_server.teardown().returncode == 0


def test_a_sandbox_replaces_a_key_and_phones_of_ones_own_only_with_yes(own_server: Server, sandbox: Any) -> None:
    """A key cannot be read again. Blocks of a sandbox become those of another one without a question."""
    with own_server.as_client(own_server.api):
        TaislyAccount(api_key="taisly_verysecret", base_url=sandbox.taisly_url).save("main")
    own_server.setup("--phone", "R1: ada", "--phone", "R2")
    before = {b["block_type"]["slug"]: b["data"] for b in own_server.all("block_documents") if b["name"] == "main"}

    refused = own_server.setup("--sandbox", sandbox.url)
    dry = own_server.setup("--sandbox", sandbox.url, "--dry-run")
    kept = {b["block_type"]["slug"]: b["data"] for b in own_server.all("block_documents") if b["name"] == "main"}
    replaced = own_server.setup("--sandbox", sandbox.url, "--yes")
    after = {b["block_type"]["slug"]: b["data"] for b in own_server.all("block_documents") if b["name"] == "main"}
    again = own_server.setup("--sandbox", sandbox.url)

    assert (refused.returncode, dry.returncode, kept) == (1, 0, before)
    assert "the API key of the block taisly-account/main" in refused.stderr
    assert "the phones (R1: ada; R2) of the block tikmatrix-host/main" in refused.stderr
    assert "add --yes" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert (replaced.returncode, again.returncode) == (0, 0), replaced.stderr
    assert after["tikmatrix-host"]["phones"][0].startswith("R58N01SANDBOX: ")
    assert after["taisly-account"]["base_url"] == sandbox.taisly_url
    assert "phone removed: R1: ada" in replaced.stdout
    assert own_server.teardown().returncode == 0
    with own_server.as_client(own_server.api):
        TaislyAccount.delete("main")


def test_a_key_that_taisly_refuses_is_not_saved(own_server: Server, sandbox: Any) -> None:
    """It is tried first, also in a dry run; one that is accepted is saved, with how many accounts it reaches."""
    taisly = TaislyAccount(api_key="taisly_before", base_url=sandbox.taisly_url)  # the sandbox's would leave it
    with own_server.as_client(own_server.api):
        taisly.save("tried")

    wrong = own_server.setup("--client", "tried", TAISLY_API_KEY="taisly_typo")
    dry = own_server.setup("--client", "tried", "--dry-run", TAISLY_API_KEY="taisly_typo")
    with own_server.as_client(own_server.api):
        kept = TaislyAccount.load("tried").api_key.get_secret_value()
    right = own_server.setup("--client", "new", "--sandbox", sandbox.url)

    for done in (wrong, dry):
        assert done.returncode == 1
        assert "The Taisly API key was not saved: Taisly does not accept the API key" in done.stderr
        assert "taisly_typo" not in done.stdout + done.stderr
        assert done.stderr.count("\n") == 1
    assert kept == "taisly_before"
    assert "Taisly accepts the API key: 6 accounts connected." in right.stdout
    assert own_server.teardown().returncode == 0
    with own_server.as_client(own_server.api):
        TaislyAccount.delete("tried")


def test_clients_are_added_and_removed_one_by_one(own_server: Server) -> None:
    """The first sets up the server; others have their own block and place in the lists; none re-points anything."""
    with Sandbox(plan="PRO", clients=["bakery", "cafe"]) as sandbox:
        bakery, cafe = sandbox.key_of("bakery"), sandbox.key_of("cafe")
        first = own_server.setup("--client", "bakery", "--sandbox", sandbox.url, TAISLY_API_KEY=bakery)
        alone = _of(own_server, "publish-video")
        nameless = own_server.setup("--client", "cafe")
        same = own_server.setup("--client", "cafe", "--sandbox", sandbox.url, "--dry-run", TAISLY_API_KEY=bakery)
        insisted = own_server.setup(
            "--client", "cafe", "--sandbox", sandbox.url, "--dry-run", "--yes", TAISLY_API_KEY=bakery
        )
        second = own_server.setup("--client", "cafe", "--sandbox", sandbox.url, TAISLY_API_KEY=cafe)
        both = _of(own_server, "publish-video")
        unclear = own_server.setup("--plan", "PRO")
        again = own_server.setup()
        after = _of(own_server, "publish-video")
        removed = own_server.setup("--remove-client", "bakery", "--yes")
        left = _of(own_server, "publish-video")
        names = sorted(b["name"] for b in own_server.all("block_documents") if b["block_type"]["slug"] == TAISLY)

    assert first.returncode == 0, first.stderr
    assert "created    deployment publish-video/01-publish-video" in first.stdout
    assert alone["parameters"]["taisly"]
    assert "There is no API key for the client cafe. Set TAISLY_API_KEY to it" in nameless.stderr
    assert "This API key is that of the client bakery, so nothing was saved for cafe. Set TAISLY_API_KEY" in same.stderr
    assert "WARNING: cafe has the same API key as bakery." in insisted.stdout
    assert "1 created, 1 unchanged.\nThe forms offer the accounts of 2 clients: bakery, cafe.\n" in second.stdout
    assert both["parameters"] == {} == after["parameters"]
    assert "There are several clients: bakery, cafe. Name the one that is meant with --client." in unclear.stderr
    assert again.returncode == 0, again.stderr
    assert "updated" not in again.stdout, again.stdout
    assert removed.returncode == 0, removed.stderr
    assert left["parameters"]["taisly"] != alone["parameters"]["taisly"]
    assert names == ["cafe"]
    assert own_server.teardown().returncode == 0


def test_the_key_of_another_client_in_the_shell_replaces_no_clients_own(own_server: Server) -> None:
    """Also with --yes: whoever changes a plan has forgotten it there."""
    with Sandbox(plan="PRO", clients=["bakery", "cafe"]) as sandbox:
        with own_server.as_client(own_server.api):
            for name in ("bakery", "cafe"):
                TaislyAccount(api_key=sandbox.key_of(name), base_url=sandbox.taisly_url).save(name)
        flows = own_server.setup("--client", "cafe")
        refused = [
            own_server.setup("--client", "bakery", "--plan", "PRO", *more, TAISLY_API_KEY=sandbox.key_of("cafe"))
            for more in ([], ["--yes"], ["--dry-run"], ["--serve"])
        ]
        with own_server.as_client(own_server.api):
            kept = TaislyAccount.load("bakery")
            for name in ("bakery", "cafe"):
                TaislyAccount.delete(name)

    assert flows.returncode == 0, flows.stderr
    for done in refused:
        assert done.returncode == 1, done.stdout
        assert "This API key is that of the client cafe, so nothing was saved for bakery." in done.stderr
        assert "unset TAISLY_API_KEY" in done.stderr
    assert (kept.api_key.get_secret_value(), kept.plan) == (sandbox.key_of("bakery"), "STARTER")
    assert own_server.teardown().returncode == 0


def test_a_schedule_of_a_client_that_was_deleted_in_the_ui_publishes_for_no_other(own_server: Server) -> None:
    """Setup preselects the client that is left, and turns the schedule off that relied on the other one."""
    with Sandbox(plan="PRO", clients=["bakery", "cafe"]) as sandbox:
        key = sandbox.key_of("bakery")
        first = own_server.setup("--client", "bakery", "--sandbox", sandbox.url, TAISLY_API_KEY=key)
        inbox = _of(own_server, "publish-inbox")
        path = f"{own_server.api}/deployments/{inbox['id']}/schedules/{inbox['schedules'][0]['id']}"
        ask("PATCH", path, active=True)
        with own_server.as_client(own_server.api):
            TaislyAccount.delete("bakery")
            TaislyAccount(api_key=sandbox.key_of("cafe"), base_url=sandbox.taisly_url).save("cafe")
        dry = own_server.setup("--dry-run")
        before = _of(own_server, "publish-inbox")
        done = own_server.setup()
        after = _of(own_server, "publish-inbox")

    said = "schedule every-10-minutes of 04-publish-inbox: turned off, since the block of its client was deleted"
    assert first.returncode == 0, first.stderr
    assert said in dry.stdout
    assert before["schedules"][0]["active"]
    assert said in done.stdout
    assert not after["schedules"][0]["active"]
    assert after["parameters"]["taisly"] != inbox["parameters"]["taisly"]
    assert _of(own_server, "finish-open-posts")["schedules"][0]["active"]
    assert own_server.teardown().returncode == 0
    with own_server.as_client(own_server.api):
        TaislyAccount.delete("cafe")


def test_naming_a_phone_keeps_the_others(own_server: Server) -> None:
    """Setup says what it added, changed and removed; it removes none without being asked to, and --yes."""
    own_server.setup("--phone", "R1: ada", "--phone", "R2")
    more = own_server.setup("--phone", "R3: cy", "--phone", "R2: ben")
    asked = own_server.setup("--remove-phone", "R1")
    unknown = own_server.setup("--remove-phone", "R9", "--yes")
    removed = own_server.setup("--remove-phone", "R1", "--yes")

    (block,) = [b for b in own_server.all("block_documents") if b["block_type"]["slug"] == "tikmatrix-host"]
    assert "phone added: R3: cy" in more.stdout
    assert "phone changed: R2: ben (it was: R2)" in more.stdout
    assert (asked.returncode, unknown.returncode, removed.returncode) == (1, 1, 0)
    assert "add --yes" in asked.stderr
    assert "It lists: R1, R2, R3." in unknown.stderr
    assert "phone removed: R1: ada" in removed.stdout
    assert block["data"]["phones"] == ["R2: ben", "R3: cy"]
    assert own_server.teardown().returncode == 0


def test_without_a_zone_it_is_this_machines(own_server: Server, sandbox: Any) -> None:
    """It is stored, and every schedule has it: an hour is never UTC for somebody elsewhere."""
    first = own_server.setup("--sandbox", sandbox.url)

    zones = {s["schedule"]["timezone"] for d in own_server.all("deployments") for s in d["schedules"]}
    stored = {v["name"]: v["value"] for v in own_server.all("variables")}
    assert zones == {machine_zone()}
    assert stored[TIME_ZONE_VARIABLE] == machine_zone()
    assert f"Times are in {machine_zone()}." in first.stdout
    assert own_server.teardown().returncode == 0


def test_prefect_deploy_all_twice_changes_nothing(own_server: Server, sandbox: Any) -> None:
    """prefect.yaml works with Prefect's own command, and keeps the ids of its schedules."""
    for pool in ("reelflow", "phones-main"):
        ask("POST", f"{own_server.api}/work_pools/", name=pool, type="process")
    with own_server.as_client(own_server.api):
        register_block_types(Changes([], dry_run=False))
    command = ("prefect", "--no-prompt", "deploy", "--all")

    first = own_server.run(*command)
    before = _plain(own_server.all("deployments"))
    second = own_server.run(*command)
    after = _plain(own_server.all("deployments"))

    assert first.returncode == 0, first.stdout + first.stderr
    assert second.returncode == 0, second.stdout + second.stderr
    assert len(before) == DEPLOYMENTS
    assert before == after


def _plain(deployments: list[dict[str, Any]]) -> dict[str, Any]:
    """Deployments without the times at which they were touched."""
    moving = {"updated", "version_id", "version_info", "branch", "status", "last_polled", "global_concurrency_limit"}

    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: without(v) for k, v in value.items() if k not in moving}
        return [without(v) for v in value] if isinstance(value, list) else value

    return {d["name"]: without(d) for d in deployments}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--notify", "slack-webhook/none"), "There is no notification block 'slack-webhook/none'"),
        (("--time-zone", "Berlin"), "Unknown time zone 'Berlin'. Did you mean Europe/Berlin?"),
        (("--phone", "one two three"), "Row 1, 'one two three', cannot be read"),
        (("--phone", "A1 ada"), "after the serial: A1: ada."),
        (("--phone", "A1", "--phone-pc", "attic", "--phone-pc", "cellar"), "once for each --phone-pc"),
    ],
)
def test_what_is_wrong_is_one_line(own_server: Server, options: Any, words: str) -> None:
    """With the next step, and no traceback."""
    done = own_server.setup(*options, "--dry-run")

    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("deployments", "setup", "--dry-run"), "does not answer"),
        (("deployments", "publish", "none.mp4", "--to", "all"), "does not answer"),
        (("deployments.serve",), "does not answer"),
    ],
)
def test_no_server_is_one_line(own_server: Server, command: Any, words: str) -> None:
    """From a process of its own, as a person starts it: nothing of Prefect's own stands around it."""
    done = own_server.run(*command, PREFECT_API_URL="http://127.0.0.1:9/api")

    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("version", "words"), [("3.4.1", "runs Prefect 3.4.1, but 3.8"), ("3.8.8", "does not allow this (403")]
)
def test_a_server_that_is_not_right_is_said(own_server: Server, version: str, words: str) -> None:
    """Of another version; or one, as Prefect Cloud may be, that does not permit it."""
    with other_server(version) as api:
        done = own_server.setup(api=api)

    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
