"""One ledger for one Prefect server: who uses which, what is refused, and the commands `reelflow ledger`."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from support.client import client_of
from support.commands import reelflow
from support.failing_server import failing_server
from support.race import at_once
from support.seen import logs_of

from blocks import ReelflowLedger, TaislyAccount
from flows.connections import check_connections
from flows.publish import publish_video
from reelflow.errors import LedgerReplaced, LedgerUnavailable
from reelflow.ledger import Ledger
from reelflow.posts.form import PostForm
from reelflow.posts.sending import send_post as engine_send
from tasks.ledger import (
    SharedConfirmation,
    close_ledgers,
    confirm_ledger,
    current_ledger,
    open_ledger,
    own_url,
    server_client,
    store_ledger,
)
from tasks.posts.check import check_post
from tasks.posts.send import send_post
from tasks.remembered import VARIABLE, read_remembered, remember
from tasks.step import flow

pytestmark = pytest.mark.usefixtures("server")
Clip = Callable[[str], Path]
POST = "POST /api/private/post"
HISTORY = "GET /api/private/post/history"


@pytest.fixture
def taisly(server: str, sandbox: Any) -> TaislyAccount:
    return TaislyAccount(api_key="taisly_sandbox", base_url=sandbox.taisly_url, plan="PRO", first_look_seconds=0.01)


@pytest.fixture
def use_ledger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], str]:
    """Lets this process's environment name another ledger; with no name, none."""

    def use(name: str) -> str:
        url = f"sqlite:///{tmp_path / name}" if name else ""
        monkeypatch.setenv("REELFLOW_LEDGER_URL", url)
        return url

    return use


def _publish(taisly: TaislyAccount, video: Path, caption: str = "Fresh bread", **form: Any) -> Any:
    post = PostForm(video=str(video), accounts=["x"], caption=caption, watch_minutes=1, **form)
    return publish_video(taisly, post, return_state=True)


def _stored() -> ReelflowLedger:
    found: Any = ReelflowLedger.load("main")
    return found  # type: ignore[no-any-return]


def _remembered() -> int:
    with get_client(sync_client=True) as client:
        return read_remembered(client, _stored().ledger_id).sends


def test_the_first_run_stores_which_ledger_the_server_uses(
    taisly: TaislyAccount, clip: Clip, use_ledger: Any, sandbox: Any
) -> None:
    """Every program uses that from then on, also one whose environment names none, and nothing is posted again."""
    first = _publish(taisly, clip("small.mp4"))
    use_ledger("")

    again = _publish(taisly, clip("small.mp4"))

    assert first.is_completed()
    assert again.message.endswith("It had been sent before; nothing was sent again.")
    assert sandbox.requests(POST) == 1
    assert _stored().place == open_ledger().place
    assert _remembered() == 1


def test_two_first_runs_at_once_end_with_one_ledger(use_ledger: Any, tmp_path: Path, server: str) -> None:
    """Whoever comes second uses the first one's, or refuses."""
    code = (
        "from tasks.ledger import open_ledger\n"
        "from reelflow.errors import LedgerUnavailable\n"
        "try:\n    print(open_ledger().place)\n"
        "except LedgerUnavailable as error:\n    print('refused', error)\n"
    )

    def first(n: int) -> str:
        environment = {**os.environ, "PREFECT_API_URL": f"{server}/api", "REELFLOW_LEDGER_URL": use_ledger(f"{n}.db")}
        return subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=120
        ).stdout.strip()

    use_ledger("")
    said = at_once(2, first)

    assert sorted(line.startswith("refused") for line in said) == [False, True], said
    assert _stored().place in said


def test_another_ledger_is_refused_and_nothing_is_sent(
    taisly: TaislyAccount, clip: Clip, use_ledger: Any, sandbox: Any, server: str
) -> None:
    """By the flow and by `reelflow publish`; with what differs, what that means and what to do."""
    _publish(taisly, clip("small.mp4"))
    taisly.save("other-ledger", overwrite=True)
    other = use_ledger("other.db")
    Ledger(other).identity()

    refused = _publish(taisly, clip("small.mp4"))
    words = ["publish", str(clip("small.mp4")), "--to", "x", "--caption", "Fresh bread", "--block", "other-ledger"]
    command = subprocess.run(
        [sys.executable, "-m", "deployments", *words], env={**os.environ, "PREFECT_API_URL": f"{server}/api"},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip

    for said in (refused.message, command.stderr):
        assert "REELFLOW_LEDGER_URL leads to" in said
        assert "posts would be sent again. Unset REELFLOW_LEDGER_URL; or, if this is to be" in said
        assert "`reelflow ledger use`" in said
    assert refused.is_failed()
    assert command.returncode == 1
    assert sandbox.requests(POST) == 1


@pytest.mark.parametrize(
    ("named_by", "way_on"), [("the server", "`reelflow ledger move`"), ("the environment", "Unset REELFLOW_LEDGER_URL")]
)
def test_a_file_that_is_not_there_is_refused_and_not_made(
    use_ledger: Any, tmp_path: Path, named_by: str, way_on: str
) -> None:
    """It is on another machine, or lost: an empty one would post everything again."""
    open_ledger()
    if named_by == "the server":
        shutil.move(tmp_path / "ledger.db", tmp_path / "away.db")
        (tmp_path / "ledger.db-wal").unlink(missing_ok=True)
    use_ledger("" if named_by == "the server" else "mistyped.db")

    with pytest.raises(LedgerUnavailable, match=f"does not exist on this machine.*{way_on}"):
        open_ledger()

    assert not (tmp_path / ("ledger.db" if named_by == "the server" else "mistyped.db")).exists()


def test_a_new_file_in_the_place_of_the_ledger_is_refused(use_ledger: Any, tmp_path: Path) -> None:
    """It has another identity."""
    open_ledger()
    for file in tmp_path.glob("ledger.db*"):
        file.unlink()
    Ledger(use_ledger("ledger.db")).identity()
    use_ledger("")

    with pytest.raises(LedgerUnavailable, match=r"another ledger is there now .*posts would be sent again"):
        open_ledger()


def test_a_ledger_restored_from_a_backup_looks_back(
    taisly: TaislyAccount, clip: Clip, use_ledger: Any, sandbox: Any, tmp_path: Path
) -> None:
    """What was sent since is found in the history and refused; the log says so; other posts are sent."""
    _publish(taisly, clip("small.mp4"), "before the backup")
    backup = tmp_path / "backup.db"
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as source, closing(sqlite3.connect(backup)) as copy:
        source.backup(copy)
    _publish(taisly, clip("good.mp4"), "after the backup")
    before = _remembered()
    close_ledgers()
    shutil.copy(backup, tmp_path / "ledger.db")

    doctor = reelflow("doctor", COLUMNS="300")
    refused = _publish(taisly, clip("good.mp4"), "after the backup")
    known = _publish(taisly, clip("small.mp4"), "before the backup")
    purpose = _publish(taisly, clip("good.mp4"), "after the backup", repeat=1)

    assert before == 2
    assert "1 send fewer than this Prefect server remembers" in doctor.stdout
    assert refused.is_failed()
    assert "Taisly's history has a post with the same caption on X @marabakes from " in refused.message
    assert "It shows 1 post that this ledger does not know." in logs_of(refused)
    assert known.message.endswith("nothing was sent again.")
    assert purpose.is_completed()
    assert sandbox.requests(POST) == 3
    assert _remembered() == 3


def test_use_makes_another_ledger_the_servers_and_it_looks_back(
    taisly: TaislyAccount, clip: Clip, use_ledger: Any, sandbox: Any
) -> None:
    """After a person's decision; one look at the history in all."""
    _publish(taisly, clip("small.mp4"))
    other = use_ledger("other.db")
    looks = sandbox.requests(HISTORY)

    used = reelflow("ledger", "use", other)
    shown = reelflow("ledger", "show")
    refused = _publish(taisly, clip("small.mp4"))
    sent = _publish(taisly, clip("good.mp4"), "another", dry_run=True)

    assert used.returncode == 0, used.stderr
    assert "other.db from now on" in used.stdout
    assert "other.db" in shown.stdout
    assert "Before its next send it searches" in shown.stdout
    assert "Taisly's history has a post with the same caption on X" in refused.message
    assert sent.is_completed()
    assert sandbox.requests(HISTORY) == looks + 1


@pytest.mark.parametrize("command", ["use", "move"])
def test_the_ledger_is_not_changed_under_a_run(use_ledger: Any, tmp_path: Path, command: str) -> None:
    """It would record what it does where nobody looks."""
    place = open_ledger().place
    open_ledger().take_turn("attic", "a run")

    refused = reelflow("ledger", command, f"sqlite:///{tmp_path / 'new.db'}")

    assert refused.returncode == 1
    assert "a run is active" in refused.stderr
    assert _stored().place == place


def test_the_ledger_moves_to_postgresql(
    taisly: TaislyAccount, clip: Clip, use_ledger: Any, sandbox: Any, postgres: str
) -> None:
    """Everything is known there; the old one refuses and says where it went; a second move has nothing to move to."""
    _publish(taisly, clip("small.mp4"))
    old = use_ledger("ledger.db")
    use_ledger("")
    try:
        moved = reelflow("ledger", "move", postgres)
        again = _publish(taisly, clip("small.mp4"))
        twice = reelflow("ledger", "move", postgres)
        use_ledger("ledger.db")
        refused = _publish(taisly, clip("small.mp4"))
    finally:
        close_ledgers()
        engine = sa.create_engine(sa.make_url(postgres).set(drivername="postgresql+psycopg"))
        with engine.begin() as connection:
            connection.execute(sa.text("DROP SCHEMA public CASCADE"))
            connection.execute(sa.text("CREATE SCHEMA public"))
        engine.dispose()

    assert moved.returncode == 0, moved.stderr
    assert "which is used from now on" in moved.stdout
    assert again.message.endswith("It had been sent before; nothing was sent again.")
    assert "in use already" in twice.stderr
    assert refused.is_failed()
    assert "was replaced by postgresql" in refused.message
    assert sandbox.requests(POST) == 1
    with pytest.raises(LedgerUnavailable, match="was replaced by"):
        Ledger(old).identity()


def test_a_move_without_the_server_changes_nothing(use_ledger: Any, tmp_path: Path) -> None:
    """The old ledger stays in use."""
    place = open_ledger().place

    with client_of("http://127.0.0.1:1/api"):
        failed = reelflow("ledger", "move", f"sqlite:///{tmp_path / 'new.db'}")

    assert failed.returncode == 1
    assert "does not answer" in failed.stderr
    assert not (tmp_path / "new.db").exists()
    assert open_ledger().place == place


def test_keys_that_rest_can_be_used_again(server: str) -> None:
    """And how many there were."""
    open_ledger().block_key("key", 600)

    first, second = reelflow("ledger", "unblock"), reelflow("ledger", "unblock")

    assert first.stdout == "1 API key paused after a 429 can be used now.\n"
    assert second.stdout == "No API key is paused.\n"


def test_a_server_that_cannot_be_read_is_one_line() -> None:
    """Nothing is sent then."""
    with client_of("http://127.0.0.1:1/api"), pytest.raises(LedgerUnavailable, match="is not running"):
        open_ledger()


def test_the_password_of_the_ledger_is_a_secret(server: str) -> None:
    """The server gives it to nobody who does not ask for secrets."""
    block = ReelflowLedger(url="postgresql://me:hidden@db/x", ledger_id="1", place="postgresql://me:***@db/x")  # type: ignore[arg-type]
    block.save("main", overwrite=True)

    with get_client(sync_client=True) as client:
        document = client.read_block_document_by_name("main", "reelflow-ledger", include_secrets=False)

    assert "hidden" not in document.model_dump_json()
    assert own_url()


def test_doctor_and_the_connection_check_compare_the_ledger(taisly: TaislyAccount, use_ledger: Any) -> None:
    """Another one fails both; the same one is shown with its ID and its sends."""
    ledger = open_ledger()
    right = reelflow("doctor", COLUMNS="300")
    Ledger(use_ledger("other.db")).identity()

    state, wrong = check_connections(return_state=True), reelflow("doctor", COLUMNS="300")

    assert f"{ledger.place} (ID {ledger.identity().id[:8]}, 0 sends)" in right.stdout
    assert state.is_failed()
    for said in (state.message, wrong.stdout):
        assert "REELFLOW_LEDGER_URL leads to" in said
    assert re.search(r"^FAILED +Ledger", wrong.stdout, re.MULTILINE)


def test_the_server_never_remembers_fewer_sends(taisly: TaislyAccount, clip: Clip) -> None:
    """However often its ledger is stored."""
    _publish(taisly, clip("small.mp4"))

    store_ledger(open_ledger())

    assert _remembered() == 1


def test_a_process_that_opened_the_ledger_before_another_was_chosen_uses_the_new_one(
    use_ledger: Any, tmp_path: Path, checked: Any
) -> None:
    """The old one is marked, so that nothing more is sent from it; until a person chooses it again."""
    old = Ledger(use_ledger("ledger.db"))
    open_ledger()
    use_ledger("")
    old.identity()

    used = reelflow("ledger", "use", f"sqlite:///{tmp_path / 'other.db'}")

    assert used.returncode == 0, used.stderr
    assert open_ledger().place.endswith("other.db")
    with pytest.raises(LedgerUnavailable, match=r"was replaced by .*other.db and is not used any more"):
        old.claim(checked(), service="s", owner="me")
    back = reelflow("ledger", "use", str(old.full_url))
    assert back.returncode == 0, back.stderr
    assert open_ledger().place.endswith("ledger.db")
    assert old.claim(checked(), service="s", owner="me").send_id is not None
    old.close()


def test_a_run_that_waited_while_another_ledger_was_chosen_elsewhere_sends_from_the_new_one(
    taisly: TaislyAccount, clip: Clip, use_ledger: Any, sandbox: Any, tmp_path: Path
) -> None:
    """The old one could not be marked from there; it is read from the server again before a post is claimed."""
    open_ledger()
    use_ledger("")
    old, other = open_ledger(), Ledger(f"sqlite:///{tmp_path / 'other.db'}")

    @flow(name="wait-and-send")
    def wait_and_send() -> Any:
        post = PostForm(video=str(clip("small.mp4")), accounts=["x"], caption="Fresh bread")
        request = check_post(taisly, post)
        store_ledger(other)
        return send_post(taisly, request).send_ids

    (send_id,) = wait_and_send()

    assert [send.id for send, _ in other.sends([send_id])] == [send_id]
    assert sandbox.requests(POST) == 1
    assert old.sends([send_id]) == []
    old.close()
    other.close()


def test_a_claim_is_given_up_if_the_server_uses_another_ledger_by_now_or_does_not_answer(
    use_ledger: Any, tmp_path: Path, sandbox: Any, clip: Clip, checked: Any, clock: Any
) -> None:
    """It may have waited for hours for its turn; nothing is sent, and the next run may claim it at once."""
    open_ledger()
    use_ledger("")
    old, post = open_ledger(), checked()
    other = Ledger(f"sqlite:///{tmp_path / 'other.db'}")

    def choose_other(part: Any) -> None:
        store_ledger(other)
        confirm_ledger(old)

    def lose_the_server(part: Any) -> None:
        with client_of("http://127.0.0.1:1/api"):
            confirm_ledger(old)

    for meddle, said in ((lose_the_server, "is not running"), (choose_other, "uses another ledger than")):
        with pytest.raises(LedgerUnavailable, match=said):
            engine_send(sandbox.rate_limited(old, clock), post, before_upload=meddle)

    assert sandbox.requests(POST) == 0
    assert old.claim(post, service=sandbox.taisly_url, owner="next").send_id is not None
    other.close()


def test_the_server_remembers_a_send_before_it_can_be_out(sandbox: Any, checked: Any, clock: Any) -> None:
    """If the machine died right after it, and a backup were restored, the send would be missed."""
    ledger, seen = open_ledger(), set[int]()

    engine_send(
        sandbox.rate_limited(ledger, clock),
        checked(),
        progress=lambda *how_far: seen.add(_remembered()),
        before_upload=lambda part: confirm_ledger(ledger),
    )

    assert seen == {1}


def test_runs_that_write_at_once_do_not_lower_what_the_server_remembers(checked: Any) -> None:
    """The slower one had read the ledger before the other one's claim."""
    ledger = open_ledger()

    class Overtaken:
        """A client before whose first writing another run's is done."""

        def __init__(self, client: Any) -> None:
            self.client, self.overtakers = client, ["two"]

        def __getattr__(self, name: str) -> Any:
            if name in ("create_variable", "update_variable") and self.overtakers:
                ledger.claim(checked(self.overtakers.pop()), service="s", owner="other")
                remember(self.client, ledger)
            return getattr(self.client, name)

    ledger.claim(checked("one"), service="s", owner="me")
    with server_client() as client:
        remember(Overtaken(client), ledger)  # type: ignore[arg-type]

    assert _remembered() == 2


@contextmanager
def _requests_to(server: str, route: str) -> Iterator[list[str]]:
    """The requests of this process that end with `route`."""
    seen: list[str] = []
    with failing_server(server, route, lost=0, seen=seen) as api, temporary_settings({PREFECT_API_URL: api}):
        yield seen


def test_one_confirmation_does_for_many_claims(checked: Any, server: str) -> None:
    """Each claim is remembered before its confirmation returns, and the server is written to a few times only."""
    ledger, late = open_ledger(), list[int]()

    known = ledger.identity().id
    with (
        server_client() as client,
        _requests_to(server, f"/{VARIABLE}") as seen,
        SharedConfirmation(ledger, enough=8) as confirm,
        ThreadPoolExecutor(12) as pool,
    ):

        def claim(n: int) -> None:
            assert ledger.claim(checked(f"post {n}"), service="s", owner="me").send_id
            mine = ledger.identity().sends
            confirm()
            if read_remembered(client, known).sends < mine:
                late.append(n)

        list(pool.map(claim, range(36)))

    assert (_remembered(), late) == (36, [])
    assert 0 < sum(request.startswith("PATCH") for request in seen) <= 12


def test_a_confirmation_that_fails_fails_for_all_that_wait_for_it(server: str) -> None:
    """Nobody sends, and the server is not asked again by each of them; a later one asks again."""
    ledger, stored = open_ledger(), _stored()
    ReelflowLedger(url=stored.url, place=stored.place, ledger_id="0" * 32).save("main", overwrite=True)

    with (
        _requests_to(server, "/block_documents/name/main?include_secrets=true") as asked,
        SharedConfirmation(ledger, enough=6) as confirm,
        ThreadPoolExecutor(6) as pool,
    ):
        errors = list(pool.map(lambda n: _error_of(confirm), range(6)))
        tries = len(asked)
        stored.save("main", overwrite=True)
        confirm()

    assert all("now uses another ledger" in error for error in errors)
    assert 1 <= tries < 6


def _error_of(call: Callable[[], None]) -> str:
    with pytest.raises(LedgerReplaced) as caught:  # for which nobody waits
        call()
    return str(caught.value)


def test_a_copy_beside_the_ledger_is_refused(use_ledger: Any, tmp_path: Path) -> None:
    """It has the same ID, and would not know what is sent from the other."""
    open_ledger()
    close_ledgers()
    shutil.copy(tmp_path / "ledger.db", tmp_path / "copy.db")
    use_ledger("copy.db")

    with pytest.raises(LedgerUnavailable, match=r"copy.db, but that is a copy of .*`reelflow ledger use`"):
        open_ledger()

    assert reelflow("ledger", "use").returncode == 0
    assert open_ledger().place.endswith("copy.db")


def test_of_two_copies_on_two_machines_one_is_used(
    taisly: TaislyAccount, clip: Clip, use_ledger: Any, sandbox: Any, tmp_path: Path, checked: Any
) -> None:
    """A cloned machine: whoever lacks the last send looks back, and the other one is refused from then on."""
    _publish(taisly, clip("small.mp4"), "before they parted")
    close_ledgers()
    for name in ("original.db", "clone.db"):
        shutil.copy(tmp_path / "ledger.db", tmp_path / name)
    (tmp_path / "ledger.db").rename(tmp_path / "elsewhere.db")
    for name in ("original.db", "clone.db"):
        use_ledger(name)
        assert current_ledger().place.endswith(name)

    open_ledger().claim(checked("never sent"), service="s", owner="killed")  # now both have as many sends
    use_ledger("original.db")
    first = _publish(taisly, clip("good.mp4"), "sent by both")
    use_ledger("clone.db")
    second = _publish(taisly, clip("good.mp4"), "sent by both")
    third = _publish(taisly, clip("good.mp4"), "sent by the clone", repeat=1)
    use_ledger("original.db")
    fourth = _publish(taisly, clip("good.mp4"), "sent by the original", repeat=1)
    doctor = reelflow("doctor", COLUMNS="300")
    chosen = reelflow("ledger", "use")
    fifth = _publish(taisly, clip("good.mp4"), "sent by the original", repeat=1)
    use_ledger("clone.db")
    sixth = _publish(taisly, clip("good.mp4"), "sent by the clone again", repeat=1)

    assert first.is_completed()
    assert "Taisly's history has a post with the same caption on X" in second.message
    assert "lacks the last send that this Prefect server remembers" in logs_of(second)
    assert third.is_completed()
    assert "is a copy of this Prefect server's ledger" in sixth.message
    for said in (fourth.message, " ".join(doctor.stdout.split())):
        assert "is one of several copies" in said
    assert chosen.returncode == 0, chosen.stderr
    assert fifth.is_completed()
    assert sandbox.requests(POST) == 4
