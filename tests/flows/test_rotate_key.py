"""rotate-api-key against a real Prefect server: the block gets a new key, runs go on, and nobody reads the key."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter
from prefect.states import Running
from support.commands import reelflow
from support.saved_blocks import delete_blocks
from support.seen import artifacts_of, logs_of, steps_of
from support.waiting import until

from blocks import PostingSlots, TaislyAccount
from flows.campaign import publish_campaign
from flows.connections import check_connections
from flows.rotate_key import rotate_api_key
from reelflow.campaigns.form import CampaignForm
from reelflow.ledger import key_fingerprint
from reelflow.sandbox.catalog import API_KEY
from reelflow.upkeep.form import RotateKeyForm
from tasks.ledger import open_ledger

pytestmark = pytest.mark.usefixtures("server")
GENERATE = "POST /api/private/user/api-key/generate"


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's data folder, where a new key is kept until it is saved."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture(autouse=True)
def taisly(server: str, sandbox: Any) -> Iterator[TaislyAccount]:
    """A saved block, loaded as a run gets it, and no other."""
    delete_blocks()
    TaislyAccount(
        api_key=API_KEY, base_url=sandbox.taisly_url, plan="PRO", first_look_seconds=0.01, duplicate_hours=7
    ).save("rotated")
    yield TaislyAccount.load("rotated")
    TaislyAccount.delete("rotated")


def _rotate(taisly: TaislyAccount, **form: Any) -> Any:
    return rotate_api_key(taisly, RotateKeyForm(**form), return_state=True)


def _key(name: str = "rotated") -> str:
    return TaislyAccount.load(name).api_key.get_secret_value()


def test_a_dry_run_is_the_default_and_changes_nothing(taisly: TaislyAccount, sandbox: Any) -> None:
    """It says which blocks would get the key, and what else may use it."""
    TaislyAccount(api_key=API_KEY, base_url=sandbox.taisly_url).save("same", overwrite=True)

    state = _rotate(taisly)

    assert (state.name, _key()) == ("Dry run", API_KEY)
    assert state.message == "Dry run: nothing was changed. Would save a new key in 'rotated', 'same'."
    assert artifacts_of(state)["markdown"].data.splitlines()[:5] == [
        "# Who uses the API key of `rotated`",
        "",
        "These blocks have the key. Once it is replaced, they have the new one:",
        "",
        "- `rotated`",
    ]
    assert "terminals with the key in `TAISLY_API_KEY`\n" in artifacts_of(state)["markdown"].data
    assert sandbox.requests(GENERATE) == 0


def test_every_saved_block_with_the_key_gets_the_new_one(taisly: TaislyAccount, sandbox: Any, data: Path) -> None:
    """And keeps its other fields; a block with another key, or at another Taisly, is not touched."""
    TaislyAccount(api_key=API_KEY, base_url=sandbox.taisly_url).save("same", overwrite=True)
    TaislyAccount(api_key="taisly_other", base_url=sandbox.taisly_url).save("other", overwrite=True)
    TaislyAccount(api_key=API_KEY, base_url="http://127.0.0.1:9/api/private").save("elsewhere", overwrite=True)

    state = _rotate(taisly, dry_run=False)

    saved = TaislyAccount.load("rotated")
    assert state.is_completed(), state.message
    assert "a new key works and is saved in 'rotated', 'same'" in state.message
    assert sandbox.world.data.keys == [_key()] == [_key("same")]
    assert (_key("other"), _key("elsewhere")) == ("taisly_other", API_KEY)
    assert (saved.plan, saved.duplicate_hours, saved.base_url) == ("PRO", 7, sandbox.taisly_url)
    assert list(data.rglob("*.json")) == []


def test_every_run_at_work_with_the_key_is_named(taisly: TaislyAccount) -> None:
    """Also one of a flow of yours, whose parameter has another name; and by the command, too."""
    ref = {"$ref": {"block_document_id": str(taisly._block_document_id)}}
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(
            check_connections, parameters={"mine": [{"account": ref}]}, name="mine", state=Running()
        )

    state = _rotate(taisly)
    told = reelflow("rotate-api-key", "--block", "rotated")
    told_programs = reelflow("rotate-api-key", "--block", "rotated", "--json")
    done = _rotate(taisly, dry_run=False)

    with get_client(sync_client=True) as client:
        client.delete_flow_run(run.id)
    assert state.message.endswith("1 run uses it now.")
    assert told.stdout.splitlines()[:4] == [
        "  These blocks have the key. Once it is replaced, they have the new one:",
        "    rotated",
        "  These runs use it now. Once it is replaced, they continue with the new one:",
        "    mine",
    ]
    assert [json.loads(told_programs.stdout)[name] for name in ("blocks", "runs")] == [["rotated"], ["mine"]]
    assert "1 run at work continues with it. The old key is dead: scripts," in done.message


def test_nobody_reads_the_new_key(taisly: TaislyAccount) -> None:
    """Not in the log, the steps, the reports, the results or the parameters of the run."""
    state = _rotate(taisly, dry_run=False)

    with get_client(sync_client=True) as client:
        run = client.read_flow_run(state.state_details.flow_run_id)
        reports = client.read_artifacts(artifact_filter=ArtifactFilter())
    told = [logs_of(state), repr(steps_of(state)), repr(reports), run.model_dump_json(), repr(state), str(state.data)]
    assert not [text for text in told if _key() in text or API_KEY in text]


def test_a_block_that_is_not_saved_cannot_get_a_key(sandbox: Any) -> None:
    """The new key would be lost with the run."""
    state = _rotate(TaislyAccount(api_key=API_KEY, base_url=sandbox.taisly_url), dry_run=False)

    assert (state.is_failed(), sandbox.requests(GENERATE)) == (True, 0)
    assert "not a saved block" in state.message


def test_a_key_is_revoked_only_if_the_form_says_so_twice(taisly: TaislyAccount, sandbox: Any) -> None:
    """There is no way back."""
    refused = _rotate(taisly, action="revoke", dry_run=False)
    report = artifacts_of(refused)["markdown"].data
    kept = list(sandbox.world.data.keys)
    done = _rotate(taisly, action="revoke", dry_run=False, revoke_without_new_key=True)

    assert (refused.is_failed(), kept) == (True, [API_KEY])
    assert "turn on 'Yes, revoke without a new key' as well" in refused.message
    assert "These blocks have the key. Once it is revoked, they keep a dead key until you save another:" in report
    assert (done.is_completed(), sandbox.world.data.keys) == (True, [])
    assert "Nothing can be sent or checked until you put another key into the block 'rotated'" in done.message


def test_a_campaign_goes_on_with_the_new_key(
    taisly: TaislyAccount, sandbox: Any, tmp_path: Path, videos: Callable[[int], Path]
) -> None:
    """Each post goes out once, none is refused, and the hour of the plan counts the requests of both keys."""
    folder = tmp_path / "week"
    folder.mkdir()
    for number in range(1, 9):
        shutil.copy(videos(number), folder / f"{number}.mp4")
    sandbox.order_fault("slow", "POST", "/api/private/post", seconds=1.5, times=8)
    slots = PostingSlots(slots=["all: daily " + ", ".join(f"{hour}:00" for hour in range(24))], time_zone="UTC")
    form = CampaignForm(plan=str(folder), accounts=["Instagram"], watch_minutes=1)
    ended: list[Any] = []

    def run() -> None:
        ended.append(publish_campaign(taisly, form, slots, return_state=True))

    campaign = threading.Thread(target=copy_context().run, args=(run,))
    campaign.start()
    until("the first post", lambda: sandbox.posts)
    rotated = _rotate(TaislyAccount.load("rotated"), dry_run=False)
    campaign.join(120)

    new, old = (key_fingerprint(key, taisly.service) for key in (_key(), API_KEY))
    assert rotated.is_completed(), rotated.message
    assert ended[0].name == "Scheduled", ended[0].message
    assert len(sandbox.posts) == len({post["sha256"] for post in sandbox.posts}) == 8
    assert sandbox.requests("POST /api/private/post") == 8
    assert (open_ledger().requests_in_last_hour(old), open_ledger().requests_in_last_hour(new) >= 10) == (0, True)


def test_a_check_of_a_dead_key_says_that_a_new_one_waits_on_this_machine(
    taisly: TaislyAccount, sandbox: Any, data: Path
) -> None:
    """A run died between generating and saving; the next one finishes, and generates nothing."""
    with get_client(sync_client=True) as client:
        block = client.read_block_document_by_name("rotated", "taisly-account")
    kept = data / "reelflow" / "keys" / f"{block.id}.json"
    kept.parent.mkdir(parents=True)
    old = key_fingerprint(API_KEY, taisly.service)
    kept.write_text(json.dumps({"block": "rotated", "old": old, "at": "2026-11-26T12:00:00Z", "key": "taisly_kept"}))
    sandbox.world.data.keys = ["taisly_kept"]

    checked = check_connections(return_state=True)
    finished = _rotate(taisly, dry_run=False)

    assert checked.is_failed()
    assert "A new key was generated" in checked.message
    assert "Run rotate-api-key on this machine, with 'Dry run' off, to save it." in checked.message
    assert finished.message.startswith("Finished what an earlier run began: the new key works and is saved")
    assert (_key(), sandbox.requests(GENERATE), kept.exists()) == ("taisly_kept", 0, False)


def test_the_command_does_the_same(sandbox: Any) -> None:
    """With --json, its document has no key either."""
    dry = reelflow("rotate-api-key", "--block", "rotated")
    done = reelflow("rotate-api-key", "--block", "rotated", "--no-dry-run", "--json")

    assert (dry.returncode, done.returncode) == (0, 0), dry.stderr + done.stderr
    assert dry.stdout.splitlines()[1] == "    rotated"
    assert dry.stdout.splitlines()[-1] == "Dry run: nothing was changed. Would save a new key in 'rotated'."
    assert json.loads(done.stdout)["ok"]
    assert sandbox.world.data.keys == [_key()]
    assert _key() not in done.stdout + done.stderr
