"""Replacing an API key: whatever happens in between, the block has a working key or the next run gives it one."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import support
from pydantic import SecretStr
from support.clock import Clock
from support.rotator import KILLED, rotation

from reelflow.errors import (
    ClaimLost,
    InputError,
    KeyLost,
    KeyNotSaved,
    NotAllowed,
    NothingSent,
    OutcomeUnknown,
    ReelflowError,
)
from reelflow.ledger import PERSON_SECONDS, Ledger, key_fingerprint
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.records.posts import PostRequest
from reelflow.sandbox.catalog import API_KEY
from reelflow.taisly import TaislyClient
from reelflow.upkeep.key_file import KeptKey, KeyFile
from reelflow.upkeep.key_rest import UNDECIDED_SECONDS
from reelflow.upkeep.rotation import SAVE_SECONDS, Rotation
from tasks.upkeep.key_blocks import KeyUse
from tasks.upkeep.rotate_key import replaced_message

GENERATE = "POST /api/private/user/api-key/generate"
ROTATOR = Path(support.__path__[0]) / "rotator.py"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "block").write_text(API_KEY)
    return tmp_path


@pytest.fixture
def rotating(sandbox: Any, ledger: Ledger, clock: Clock, folder: Path) -> Callable[..., Rotation]:
    """A rotation in this process, with the test's clock."""
    return lambda **more: rotation(sandbox.taisly_url, ledger, folder, sleep=clock.sleep, **more)


def _block(folder: Path) -> str:
    return (folder / "block").read_text()


def _works(sandbox: Any, key: str) -> bool:
    return key in sandbox.world.data.keys


def _mark(sandbox: Any, ledger: Ledger) -> bool:
    return ledger.is_being_replaced(key_fingerprint(API_KEY, sandbox.taisly_url))


def _run(
    sandbox: Any, folder: Path, ledger_url: str, die_after: str = "", later: float = 0
) -> subprocess.CompletedProcess[str]:
    """A process that replaces the key: killed after a step, or some seconds later, when a dead run's mark is over."""
    config = folder / "config.json"
    values = {"url": sandbox.taisly_url, "ledger": ledger_url, "folder": str(folder)}
    config.write_text(json.dumps(values | {"die_after": die_after, "later": later}))
    return subprocess.run(
        [sys.executable, str(ROTATOR), str(config)], capture_output=True, text=True, timeout=60, check=False
    )


def test_the_block_gets_a_new_key_that_works(
    rotating: Callable[..., Rotation], folder: Path, sandbox: Any, ledger: Ledger
) -> None:
    """Nothing of it stays on the machine, and requests may begin again."""
    steps: list[str] = []

    done = rotating(after=steps.append).replace(API_KEY, patience=5)

    assert (done.blocks, done.resumed) == (["main"], False)
    assert steps == ["checked", "at rest", "announced", "generated", "kept", "tried", "saved", "recorded"]
    assert _works(sandbox, _block(folder))
    assert not _works(sandbox, API_KEY)
    assert list((folder / "keys").iterdir()) == []
    assert not _mark(sandbox, ledger)


def test_the_plan_counts_the_requests_of_both_keys(
    rotating: Callable[..., Rotation], folder: Path, sandbox: Any, ledger: Ledger, taisly: RateLimitedTaisly
) -> None:
    """Taisly's quota is that of the plan, whichever key is used."""
    for page in (1, 2, 3):
        taisly.history_page(page)

    rotating().replace(API_KEY, patience=5)

    assert ledger.requests_in_last_hour(key_fingerprint(_block(folder), sandbox.taisly_url)) == 5  # two tries of a key


@pytest.mark.parametrize("step", ["checked", "at rest", "announced", "kept", "tried", "saved", "recorded"])
def test_a_run_that_is_killed_after_any_step_is_finished_by_the_next(
    step: str, folder: Path, sandbox: Any, ledger_url: str
) -> None:
    """Never with a second new key if the first one is known."""
    killed = _run(sandbox, folder, ledger_url, step)
    was_generated = sandbox.requests(GENERATE)

    again = _run(sandbox, folder, ledger_url, later=61)

    assert (killed.returncode, again.returncode) == (KILLED, 0), again.stdout + again.stderr
    assert (sandbox.requests(GENERATE), was_generated) == (1, int(step in ("kept", "tried", "saved", "recorded")))
    assert again.stdout.strip() == ("resumed" if was_generated else "generated")
    assert _works(sandbox, _block(folder))
    assert list((folder / "keys").iterdir()) == []


def test_a_run_that_is_killed_with_the_answer_in_its_hand_says_what_to_do(
    folder: Path, sandbox: Any, ledger_url: str
) -> None:
    """The one moment that no order of steps covers: Taisly has shown the key, and nobody wrote it down."""
    _run(sandbox, folder, ledger_url, "generated")

    again = _run(sandbox, folder, ledger_url, later=61)
    sandbox.world.data.keys = ["taisly_by_hand"]
    (folder / "block").write_text("taisly_by_hand")
    by_hand = _run(sandbox, folder, ledger_url, later=61)

    assert again.stdout.startswith("KeyLost: Taisly has replaced the API key, and the new one was lost")
    assert "Generate another key in Taisly's settings, and put it into that block" in again.stdout
    assert (by_hand.returncode, by_hand.stdout.strip()) == (0, "generated")
    assert _works(sandbox, _block(folder))


@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "garbage_after", "status_before", "status_after"])
def test_a_lost_answer_is_told_by_the_key_that_works(
    fault: str, rotating: Callable[..., Rotation], folder: Path, sandbox: Any, ledger: Ledger
) -> None:
    """Either nothing was generated, and trying again is safe; or the key is dead, and a person generates another."""
    sandbox.order_fault(fault, "POST", "/api/private/user/api-key/generate", status=502)
    was_done = fault.endswith("after")

    with pytest.raises(KeyLost if was_done else NothingSent) as raised:
        rotating().replace(API_KEY, patience=5)

    assert _works(sandbox, API_KEY) is not was_done
    assert _mark(sandbox, ledger) is was_done  # running posts wait for the person
    assert ("Generate another key" if was_done else "safe to run this again") in str(raised.value)
    assert (folder / "keys" / "id.json").exists() is was_done


@pytest.mark.parametrize(("step", "waits"), [("at rest", False), ("generated", True), ("kept", True)])
def test_runs_wait_for_the_next_rotation_after_one_that_was_cancelled(
    step: str, waits: bool, rotating: Callable[..., Rotation], sandbox: Any, ledger: Ledger, clock: Clock
) -> None:
    """If the key may be dead by then: each of their requests would be refused. For ten minutes at most."""

    def cancel(reached: str) -> None:
        if reached == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotating(after=cancel).replace(API_KEY, patience=5)

    assert _mark(sandbox, ledger) is waits
    clock.now += UNDECIDED_SECONDS
    assert not _mark(sandbox, ledger)


@pytest.mark.parametrize("shown", ["", " ", "taisly_\u2026abcd", 7])
def test_a_key_that_taisly_shows_only_in_part_is_a_lost_one(
    shown: Any, sandbox: Any, folder: Path, rotating: Callable[..., Rotation]
) -> None:
    """It is not saved over the old one, and the sentence says what to do."""
    network = httpx.HTTPTransport()

    def answer(request: httpx.Request) -> httpx.Response:
        response = network.handle_request(request)
        if request.url.path.endswith("/generate"):
            response.read()
            return httpx.Response(200, json={"success": True, "apiKey": shown})
        return response

    usual = rotating()
    client = partial(TaislyClient, base_url=sandbox.taisly_url, transport=httpx.MockTransport(answer))
    with pytest.raises(KeyLost, match="Generate another key in Taisly's settings"):
        replace(usual, client=client).replace(API_KEY, patience=5)
    network.close()

    assert _block(folder) == API_KEY


def test_a_new_key_that_could_not_be_tried_is_saved_and_said_to_be_so(
    sandbox: Any, folder: Path, rotating: Callable[..., Rotation]
) -> None:
    """Taisly went away right after it."""
    sandbox.order_fault("status_before", "GET", "/api/private/platform/platforms", status=502, after=1, times=3)
    steps: list[str] = []

    done = rotating(after=steps.append).replace(API_KEY, patience=5)

    assert (done.tried, "tried" in steps, _works(sandbox, _block(folder))) == (False, False, True)
    assert "is saved in 'main'" in replaced_message(KeyUse(["main"], []), done)
    assert "works and" not in replaced_message(KeyUse(["main"], []), done)


def test_whether_a_lost_answer_generated_a_key_is_found_out_later(
    rotating: Callable[..., Rotation], folder: Path, sandbox: Any, ledger: Ledger
) -> None:
    """Taisly went away with the answer. Running posts wait for the run that finds it out."""
    sandbox.order_fault("drop_before", "POST", "/api/private/user/api-key/generate")
    sandbox.order_fault("status_before", "GET", "/api/private/platform/platforms", status=502, after=1, times=3)

    with pytest.raises(OutcomeUnknown, match="Run this again: it finds out first"):
        rotating().replace(API_KEY, patience=5)
    waited = _mark(sandbox, ledger)
    done = rotating().replace(API_KEY, patience=5)

    assert (waited, _mark(sandbox, ledger)) == (True, False)
    assert (done.resumed, _works(sandbox, _block(folder)), sandbox.requests(GENERATE)) == (False, True, 2)


def test_a_server_that_is_away_for_a_while_gets_the_key_later(
    rotating: Callable[..., Rotation], folder: Path, sandbox: Any
) -> None:
    """Saving is tried for five minutes."""
    rotating(fails=20).replace(API_KEY, patience=5)

    assert _works(sandbox, _block(folder))


def test_a_key_that_cannot_be_saved_is_kept_for_its_owner_alone(
    rotating: Callable[..., Rotation], folder: Path, sandbox: Any, ledger: Ledger, clock: Clock
) -> None:
    """The message says where, and not what. Runs wait, and the next rotation saves it without generating another."""
    with pytest.raises(KeyNotSaved) as raised:
        rotating(fails=1000).replace(API_KEY, patience=5)
    kept = folder / "keys" / "id.json"
    key = json.loads(kept.read_text())["key"]

    assert (clock.passed >= SAVE_SECONDS, _block(folder), _mark(sandbox, ledger)) == (True, API_KEY, True)
    assert str(kept) in str(raised.value)
    assert key not in str(raised.value)
    assert os.name == "nt" or stat.S_IMODE(kept.stat().st_mode) == 0o600

    assert rotating().replace(API_KEY, patience=5).resumed
    assert (_block(folder), sandbox.requests(GENERATE), kept.exists()) == (key, 1, False)
    assert not _mark(sandbox, ledger)


def test_nothing_is_generated_where_the_key_could_not_be_kept(
    rotating: Callable[..., Rotation], folder: Path, sandbox: Any, ledger: Ledger
) -> None:
    """Such as below a file; the sentence says what to do."""
    (folder / "keys").write_text("a file")

    with pytest.raises(InputError, match=r"cannot be (read|written)"):
        rotating().replace(API_KEY, patience=5)

    assert (sandbox.requests(GENERATE), _mark(sandbox, ledger)) == (0, False)


@pytest.mark.parametrize("action", ["replace", "revoke"])
def test_a_key_that_does_not_work_can_do_nothing(
    action: str, rotating: Callable[..., Rotation], folder: Path, sandbox: Any
) -> None:
    """It says where a working one comes from."""
    sandbox.world.data.keys = ["taisly_other"]

    with pytest.raises(InputError, match=r"the key of the block 'main' \(401\).* on another machine, run it"):
        getattr(rotating(), action)(API_KEY, patience=5)

    assert list(folder.glob("keys/*")) == []


def test_a_block_that_was_changed_meanwhile_is_not_overwritten(
    rotating: Callable[..., Rotation], folder: Path, sandbox: Any
) -> None:
    """A person, or another rotation, was faster."""
    (folder / "block").write_text("taisly_by_hand")

    with pytest.raises(InputError, match="was changed after this run began"):
        rotating().replace(API_KEY, patience=5)

    assert sandbox.requests(GENERATE) == 0


def test_a_second_rotation_is_refused_while_one_is_at_work(
    rotating: Callable[..., Rotation], folder: Path, sandbox: Any
) -> None:
    """A button pressed twice generates one key."""
    refused: list[str] = []

    def second(step: str) -> None:
        if step == "at rest":
            with pytest.raises(InputError) as raised:
                rotating().replace(API_KEY, patience=5)
            refused.append(str(raised.value))

    rotating(after=second).replace(API_KEY, patience=5)

    assert len(refused) == 1
    assert "Another run is replacing or revoking this API key. Nothing was changed." in refused[0]
    assert "If it was killed, try again in 58 s." in refused[0]
    assert sandbox.requests(GENERATE) == 1


@pytest.mark.parametrize("action", ["replace", "revoke"])
def test_an_upload_in_progress_is_waited_for_and_never_cut(
    action: str, rotating: Callable[..., Rotation], sandbox: Any, ledger: Ledger, clock: Clock,
    checked: Callable[..., PostRequest],
) -> None:  # fmt: skip
    """One that takes too long keeps its key, and the run says which it was."""
    send_id = ledger.claim(checked(), service=sandbox.taisly_url, owner="me").send_id or ""
    ledger.begin(send_id, "me")
    clock.on_sleep = lambda seconds: ledger.renew(send_id, "me")

    with pytest.raises(NothingSent, match=r"1 upload is still in progress after 1 minute: small.mp4"):
        getattr(rotating(), action)(API_KEY, patience=60)
    assert (_works(sandbox, API_KEY), _mark(sandbox, ledger)) == (True, False)

    clock.on_sleep = lambda seconds: None
    ledger.accepted(send_id, "h1")
    getattr(rotating(), action)(API_KEY, patience=60)
    assert not _works(sandbox, API_KEY)


def test_runs_wait_an_hour_for_the_person_and_not_longer(
    rotating: Callable[..., Rotation], folder: Path, sandbox: Any, ledger: Ledger, clock: Clock
) -> None:
    """Then their requests are refused, which says what is wrong; with a new key in the block they go on at once."""
    sandbox.order_fault("drop_after", "POST", "/api/private/user/api-key/generate")
    with pytest.raises(KeyLost):
        rotating().replace(API_KEY, patience=5)
    client = TaislyClient(API_KEY, sandbox.taisly_url)
    with RateLimitedTaisly(
        client, ledger, api_key=API_KEY, service=sandbox.taisly_url, plan="PRO", sleep=clock.sleep,
        fresh_key=lambda: _block(folder),
    ) as running:  # fmt: skip

        def put_key(seconds: float) -> None:
            if clock.now - began >= 600:
                sandbox.world.data.keys = ["taisly_by_hand"]
                (folder / "block").write_text("taisly_by_hand")

        began, clock.on_sleep = clock.now, put_key
        assert running.history_page(1, patience=PERSON_SECONDS) == []

    assert clock.now - began == pytest.approx(600)


def test_a_revoked_key_is_dead(rotating: Callable[..., Rotation], folder: Path, sandbox: Any, ledger: Ledger) -> None:
    """And the block keeps it: nothing takes its place."""
    rotating().revoke(API_KEY, patience=5)

    assert (sandbox.world.data.keys, _block(folder), _mark(sandbox, ledger)) == ([], API_KEY, False)


def test_a_revocation_that_cannot_be_confirmed_is_one_all_the_same(
    rotating: Callable[..., Rotation], sandbox: Any
) -> None:
    """Taisly said so, and went away."""
    sandbox.order_fault("status_before", "GET", "/api/private/platform/platforms", status=502, after=1, times=3)

    said = rotating().revoke(API_KEY, patience=5)

    assert said.startswith("It could not be confirmed that the key is dead: ")
    assert sandbox.world.data.keys == []


def test_nothing_is_revoked_while_a_new_key_waits_to_be_saved(
    rotating: Callable[..., Rotation], folder: Path, sandbox: Any
) -> None:
    """It is the one that works."""
    _kept(folder, "taisly_theirs")

    with pytest.raises(InputError, match="Choose 'replace' first: it saves that key"):
        rotating().revoke(API_KEY, patience=5)

    assert sandbox.requests("POST /api/private/user/api-key/revoke") == 0


@pytest.mark.parametrize(("fault", "is_dead"), [("drop_before", False), ("drop_after", True)])
def test_a_lost_answer_to_a_revocation_is_told_by_the_key(
    fault: str, is_dead: bool, rotating: Callable[..., Rotation], sandbox: Any
) -> None:
    """It works, or it does not."""
    sandbox.order_fault(fault, "POST", "/api/private/user/api-key/revoke")
    said = ""

    try:
        rotating().revoke(API_KEY, patience=5)
    except ReelflowError as error:
        said = str(error)

    assert (_works(sandbox, API_KEY), "the key still works" in said) == (not is_dead, not is_dead)


def test_a_file_that_is_not_ours_is_neither_used_nor_deleted(tmp_path: Path) -> None:
    """It may be a key that somebody edited."""
    file = KeyFile(tmp_path, "id")
    file.path.write_text("not JSON")

    with pytest.raises(InputError, match="look into it before you delete it"):
        file.read()

    assert file.path.exists()


def test_a_key_that_somebody_else_generated_meanwhile_is_not_overwritten(
    rotating: Callable[..., Rotation], folder: Path, sandbox: Any
) -> None:
    """It works, and the one of this run does not any more."""

    def faster(step: str) -> None:
        if step == "kept":
            sandbox.world.data.keys = ["taisly_by_hand"]
            (folder / "block").write_text("taisly_by_hand")

    with pytest.raises(InputError, match="Somebody else generated another key meanwhile"):
        rotating(after=faster).replace(API_KEY, patience=5)

    assert (_block(folder), list((folder / "keys").iterdir())) == ("taisly_by_hand", [])


def _kept(folder: Path, key: str) -> KeyFile:
    """What another run has kept."""
    file = KeyFile(folder / "keys", "id")
    file.write(KeptKey(block="main", old="x", at=datetime.now(UTC), key=SecretStr(key)))
    return file


def test_the_key_that_another_run_keeps_meanwhile_is_not_overwritten(
    rotating: Callable[..., Rotation], folder: Path, sandbox: Any
) -> None:
    """That run was held up for so long that its mark is over, such as on a laptop that slept."""

    def faster(step: str) -> None:
        if step == "at rest":
            _kept(folder, "taisly_theirs")

    with pytest.raises(InputError, match="Another run has replaced the key of the block 'main' meanwhile"):
        rotating(after=faster).replace(API_KEY, patience=5)

    found = KeyFile(folder / "keys", "id").read()
    assert found is not None
    assert (found.key.get_secret_value(), sandbox.requests(GENERATE)) == ("taisly_theirs", 0)


@pytest.mark.parametrize("has_mark", [True, False])
def test_a_run_that_was_held_up_deletes_no_file_of_another(
    has_mark: bool, rotating: Callable[..., Rotation], folder: Path, sandbox: Any, ledger: Ledger, clock: Clock
) -> None:
    """It generates nothing once another run has its mark; and whatever Taisly refuses, the other's key stays."""

    def faster(step: str) -> None:
        if step == "announced":
            _kept(folder, "taisly_theirs")
            sandbox.world.data.keys = ["taisly_theirs"]
            if not has_mark:
                clock.now += 61
                ledger.begin_rotation(key_fingerprint(API_KEY, sandbox.taisly_url), "other", 60)

    with pytest.raises(NotAllowed if has_mark else ClaimLost):
        rotating(after=faster).replace(API_KEY, patience=5)

    assert rotating().file.read() is not None
    assert sandbox.requests(GENERATE) == int(has_mark)


def test_no_text_of_a_kept_key_shows_it(rotating: Callable[..., Rotation], folder: Path) -> None:
    """Neither its repr nor a log of it."""
    shown: list[str] = []

    def look(step: str) -> None:
        if step == "kept":
            shown.append(repr(KeyFile(folder / "keys", "id").read()))

    rotating(after=look).replace(API_KEY, patience=5)

    assert _block(folder) not in shown[0]


def test_a_proxy_that_refuses_decides_nothing(
    folder: Path, sandbox: Any, ledger: Ledger, clock: Clock, rotating: Callable[..., Rotation]
) -> None:
    """Its 403 does not say what Taisly did: the key does."""
    sandbox.order_fault("status_after", "POST", "/api/private/user/api-key/generate", status=403)

    with pytest.raises(KeyLost):
        rotating().replace(API_KEY, patience=5)


def test_taislys_own_refusal_changes_nothing(
    folder: Path, ledger: Ledger, clock: Clock, sandbox: Any, rotating: Callable[..., Rotation]
) -> None:
    """Such as of a plan that may not; the announcement is deleted."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"success": True, "data": []})
        return httpx.Response(200, json={"success": False, "message": "NO", "error": "not now"})

    refusing = rotation(sandbox.taisly_url, ledger, folder, sleep=clock.sleep)
    refusing = Rotation(
        refusing.ledger, refusing.service, refusing.block, refusing.name, refusing.saved, refusing.file,
        lambda key: TaislyClient(key, sandbox.taisly_url, transport=httpx.MockTransport(answer)), clock.sleep,
    )  # fmt: skip

    with pytest.raises(ReelflowError, match="not now"):
        refusing.replace(API_KEY, patience=5)

    assert (_block(folder), list((folder / "keys").iterdir())) == (API_KEY, [])
