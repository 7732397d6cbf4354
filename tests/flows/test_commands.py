"""What the UI can start, a terminal or a script can: commands against a real Prefect server and the sandbox."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.clips import ffmpeg
from support.commands import Done, reelflow
from support.seen import artifacts_of

from blocks import TaislyAccount, TikMatrixHost
from blocks.reference import saved_names
from flows.publish import publish_video
from reelflow.posts.form import PostForm
from reelflow.time_zones import shown
from tasks.ledger import open_ledger

pytestmark = pytest.mark.usefixtures("server")
Clip = Callable[[str], Path]
SERIALS = ["R58N01SANDBOX", "R58N02SANDBOX"]


@pytest.fixture
def taisly(sandbox: Any) -> TaislyAccount:
    """The only saved block; a test of another file may have left one that could be named as well."""
    for name in saved_names(TaislyAccount):
        TaislyAccount.delete(name)
    block = TaislyAccount(
        api_key="taisly_sandbox", base_url=sandbox.taisly_url, plan="PRO", first_look_seconds=0.01,
        unconfirmed_after_minutes=0,
    )  # fmt: skip
    block.save("commands", overwrite=True)
    return block


@pytest.fixture
def host(sandbox: Any) -> str:
    """The name of the only saved block, with two phones."""
    for name in saved_names(TikMatrixHost):
        TikMatrixHost.delete(name)
    phones = [f"{SERIALS[0]}: ada.daily, ada.studio (Instagram)", SERIALS[1]]
    block = TikMatrixHost(base_url=sandbox.tikmatrix_url, phones=phones, poll_seconds=0.01, auto_retry=False)
    block.save("commands", overwrite=True)
    return "commands"


def _process(server: str, *words: str) -> Done:
    """A command as a process of its own, as a script starts it."""
    done = subprocess.run(
        [sys.executable, "-m", "deployments", *words], env={**os.environ, "PREFECT_API_URL": f"{server}/api"},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


def _objects(done: Done) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def _publish(taisly: TaislyAccount, video: Path, **form: Any) -> Any:
    return publish_video(taisly, PostForm(**{"video": str(video), "accounts": ["x"], **form}), return_state=True)


def test_a_script_publishes_and_reads_one_document(
    server: str, taisly: TaislyAccount, sandbox: Any, clip: Clip
) -> None:
    """Nothing else is on standard output, and nothing at all on standard error."""
    done = _process(server, "publish", str(clip("small.mp4")), "--to", "x", "--block", "commands", "--json")

    (said,) = _objects(done)
    (outcome,) = said["outcomes"]
    assert (done.returncode, done.stderr) == (0, "")
    assert (said["flow"], said["ok"], said["state"]) == ("publish-video", True, "Completed")
    assert (outcome["account"], outcome["state"]) == ("X @marabakes", "published")
    assert outcome["link"].startswith("https://")
    assert len(sandbox.posts) == 1


def test_a_person_sees_how_far_it_is(server: str, taisly: TaislyAccount, clip: Clip) -> None:
    """As plain lines on standard error, where that is no terminal; the outcomes are on standard output."""
    done = _process(server, "publish", str(clip("small.mp4")), "--to", "x", "--block", "commands")

    assert done.returncode == 0
    assert "Upload of small.mp4: 100 %\n" in done.stderr
    assert "Outcomes at the accounts: 100 %\n" in done.stderr
    assert "Published to 1 of 1 account: X @marabakes." in done.stdout
    assert "%" not in done.stdout


def test_nobody_waits_for_the_outcomes_of_a_scheduled_post(server: str, taisly: TaislyAccount, clip: Clip) -> None:
    """So it shows no "0 %" of them."""
    at = f"{datetime.now(UTC) + timedelta(hours=3):%Y-%m-%dT%H:%M:00Z}"

    done = _process(server, "publish", str(clip("small.mp4")), "--to", "x", "--at", at, "--block", "commands")

    assert done.returncode == 0
    assert "Upload of small.mp4: 100 %\n" in done.stderr
    assert "Outcomes" not in done.stderr


def test_a_similar_video_is_warned_of_before_it_is_sent(
    taisly: TaislyAccount, sandbox: Any, clip: Clip, tmp_path: Path
) -> None:
    """In the terminal and in the report of the dry run; of a post, and of a row of a plan."""
    again = tmp_path / "again.mp4"
    ffmpeg("-i", str(clip("good.mp4")), "-c", "copy", str(again))
    _publish(taisly, clip("good.mp4"), caption="Fresh")
    (tmp_path / "plan.csv").write_text("video,accounts,when,caption\nagain.mp4,X,now,New\n")

    post = reelflow("publish", str(again), "--to", "x", "--block", "commands", "--caption", "New", "--dry-run")
    week = ("campaign", str(tmp_path / "plan.csv"), "--block", "commands")
    plan = reelflow(*week, "--minutes-apart", "0", "--dry-run")
    report = publish_video(taisly, PostForm(video=str(again), accounts=["x"], dry_run=True), return_state=True)

    warning = re.compile(
        r"A similar video was sent to X @marabakes .* ago with the caption 'Fresh' \(good\.mp4\), and it was "
        r"published\. Check that it is a different video\.\n"
    )
    for done in (post, plan):
        assert done.returncode == 0, done.stdout
        assert len(warning.findall(done.stderr)) == 1, done.stderr
        assert "similar" not in done.stdout
    shown_first, _, listed = artifacts_of(report)["markdown"].data.partition("Please check:")
    assert "similar" not in shown_first
    assert warning.search(listed.replace("\\", ""))
    assert len(sandbox.posts) == 1


def test_a_block_that_is_not_there_is_told_with_those_that_are(taisly: TaislyAccount, clip: Clip) -> None:
    """Nobody has to look them up."""
    done = reelflow("publish", str(clip("small.mp4")), "--to", "x", "--block", "comands")

    assert done.returncode == 1
    assert "There is no block \"Taisly Account\" named 'comands' on http" in done.stderr
    assert "Name another with --block: commands" in done.stderr


def test_a_failed_post_has_the_exit_code_1_and_its_reason(taisly: TaislyAccount, sandbox: Any, clip: Clip) -> None:
    """In the document and as the one line of standard error."""
    sandbox.fail_next(platform="X", reason="Session expired")

    done = reelflow("publish", str(clip("small.mp4")), "--to", "x", "--block", "commands", "--json")

    (said,) = _objects(done)
    assert (done.returncode, said["ok"]) == (1, False)
    assert said["outcomes"][0]["state"] == "failed"
    assert said["outcomes"][0]["detail"] == "Session expired"
    assert done.stderr.splitlines()[-1] == "reelflow: Failed on X @marabakes: Session expired."


def test_accounts_are_listed_as_to_takes_them(taisly: TaislyAccount) -> None:
    """Each name with its ID; for programs, one object per line."""
    done = reelflow("accounts", "--block", "commands")
    rows = _objects(reelflow("accounts", "--block", "commands", "--json"))

    assert "TikTok @mara.bakes " in done.stdout
    assert len(rows) == len(done.stdout.splitlines()) == 6
    assert {"name", "account", "account_id", "platform", "on_hold"} == set(rows[0])
    assert rows[0]["account_id"] in done.stdout


def test_accounts_come_with_the_plan_and_the_phones_if_asked(taisly: TaislyAccount, host: str) -> None:
    """What is free, and which phones are online although no block lists them."""
    words = ("accounts", "--block", "commands", "--plan", "--phones")
    done = reelflow(*words)
    *_, plan = [row for row in _objects(reelflow(*words, "--json")) if "requests_left" in row]
    phones = [row for row in _objects(reelflow(*words, "--json")) if row.get("host") == host]

    assert "requests used in the last hour, 99" in done.stdout
    assert (plan["requests_per_hour"], plan["requests_used"] + plan["requests_left"]) == (1000, 1000)
    assert [row["serial"] for row in phones if row["listed"]] == SERIALS
    assert f"{host}: Licence {phones[0]['licence']['plan']}, " in done.stdout
    assert sum(not row["listed"] for row in phones) == 18
    assert "R58N03SANDBOX is not listed, so it is never used. To use it, add a row to 'Your phones'" in done.stdout


def test_the_phones_are_listed_although_taisly_is_away(taisly: TaislyAccount, sandbox: Any, host: str) -> None:
    """As in the flow; the exit code says that a part is missing."""
    sandbox.order_fault("status_before", "GET", "/api/private/platform/platforms", status=502, times=None)

    done = reelflow("accounts", "--block", "commands", "--phones")

    assert (done.returncode, SERIALS[0] in done.stdout) == (1, True)
    assert done.stderr == "reelflow: Internal error at Taisly (502).\n"


def test_posts_are_listed_with_what_to_do_next(taisly: TaislyAccount, sandbox: Any, clip: Clip) -> None:
    """What is out, scheduled and unconfirmed; each with the ID that the next command needs."""
    later = datetime.now(UTC) + timedelta(hours=3)
    _publish(taisly, clip("small.mp4"), caption="out", watch_minutes=1)
    _publish(taisly, clip("good.mp4"), caption="scheduled", scheduled_for=later, watch_minutes=0)
    sandbox.order_fault("status_before", "POST", "/api/private/post", status=500)
    _publish(taisly, clip("recommended.mp4"), caption="unconfirmed", repeat=1, watch_minutes=1)

    done = reelflow("posts")
    by_caption = {row["caption"]: row for row in _objects(reelflow("posts", "--json"))}
    scheduled = _objects(reelflow("posts", "--state", "scheduled", "--json"))

    states = {caption: row["outcomes"][0]["state"] for caption, row in by_caption.items()}
    assert states == {"out": "published", "scheduled": "scheduled", "unconfirmed": "unconfirmed"}
    assert [row["caption"] for row in scheduled] == ["scheduled"]
    assert shown(later) in done.stdout
    assert f"To cancel it: reelflow cancel {by_caption['scheduled']['history_id']} --block commands\n" in done.stdout
    assert f"reelflow resolve {by_caption['unconfirmed']['send_id']} --published" in done.stdout


def test_the_hint_to_cancel_names_a_block_whose_key_has_the_account(
    taisly: TaislyAccount, sandbox: Any, clip: Clip
) -> None:
    """Two clients' keys lead to one address; also if one of the accounts was disconnected since.

    A block that cannot be used hides no other.
    """
    others = {"a-broken": "", "a-client": "taisly_another", "a-other": "taisly_other"}
    for name, key in others.items():
        TaislyAccount(api_key=key, base_url=sandbox.taisly_url).save(name, overwrite=True)
    try:
        later = datetime.now(UTC) + timedelta(hours=3)
        _publish(taisly, clip("small.mp4"), accounts=["x", "instagram"], scheduled_for=later, watch_minutes=0)
        with taisly.get_rate_limited(open_ledger()) as client:
            client.ledger.remember_accounts(client.key, client.choose_accounts(["x"]))
            youtube = client.choose_accounts(["youtube"])
        with TaislyAccount.load("a-other").get_rate_limited(open_ledger()) as client:
            client.ledger.remember_accounts(client.key, youtube)
        done = reelflow("posts")
        mine, of_other = reelflow("posts", "--block", "commands"), reelflow("posts", "--block", "a-other")
    finally:
        for name in others:
            TaislyAccount.delete(name)

    assert re.search(r"To cancel it: reelflow cancel \w+ --block commands\n", done.stdout)
    assert (mine.stdout, of_other.stdout) == (done.stdout, "No posts.\n")


def test_an_unconfirmed_post_is_resolved(taisly: TaislyAccount, sandbox: Any, clip: Clip) -> None:
    """First dry, then for good; what is not unconfirmed is refused with exit code 1."""
    sandbox.order_fault("status_before", "POST", "/api/private/post", status=500)
    _publish(taisly, clip("small.mp4"), watch_minutes=1)
    (post,) = _objects(reelflow("posts", "--json"))

    dry = reelflow("resolve", post["send_id"], "--not-published", "--dry-run")
    done = reelflow("resolve", post["send_id"], "--not-published", "--json")
    again = reelflow("resolve", post["send_id"], "--published")
    undecided = reelflow("resolve", post["send_id"])

    assert dry.stdout.startswith("Dry run: nothing was recorded. Would release ")
    assert _objects(done)[0]["message"].startswith("Released ")
    assert undecided.stderr == "reelflow: Say what you found on the account: --published or --not-published.\n"
    assert again.returncode == 1
    assert f"No unconfirmed post has the ID '{post['send_id']}'" in again.stderr


def test_a_scheduled_post_is_cancelled(taisly: TaislyAccount, sandbox: Any, clip: Clip) -> None:
    """First dry, then for good; a second time there is nothing to cancel."""
    _publish(taisly, clip("small.mp4"), scheduled_for=datetime.now(UTC) + timedelta(hours=3), watch_minutes=0)
    (post,) = _objects(reelflow("posts", "--json"))
    words = ["cancel", post["history_id"], "--block", "commands"]

    dry = reelflow(*words, "--dry-run")
    done = reelflow(*words)
    again = reelflow(*words)

    assert "Dry run: nothing was cancelled." in dry.stdout
    assert done.stdout == f"Cancelled the scheduled post {post['history_id']}. It will not be published.\n"
    assert again.returncode == 1
    assert "cannot be cancelled" in again.stderr
    assert [row["outcomes"][0]["state"] for row in _objects(reelflow("posts", "--json"))] == ["cancelled"]


def test_phones_are_listed_with_their_usernames(host: str, sandbox: Any) -> None:
    """And whether they are online; unknown, and said so, if TikMatrix does not answer."""
    rows = _objects(reelflow("phones", "--block", host, "--json"))
    TikMatrixHost(base_url="http://127.0.0.1:1/api/v1", phones=["A1"]).save("commands-away", overwrite=True)
    away = reelflow("phones", "--block", "commands-away")

    assert [row["serial"] for row in rows if row["listed"]] == SERIALS
    assert (rows[0]["online"], rows[0]["state"], rows[-1]["listed"]) == (True, "online", False)
    assert rows[0]["accounts"] == [
        {"username": "ada.daily", "platform": "TikTok"},
        {"username": "ada.studio", "platform": "Instagram"},
    ]
    assert (away.returncode, away.stdout.split()[:3]) == (1, ["A1", "online:", "unknown"])
    assert "TikMatrix" in away.stderr


def test_a_script_runs_a_warm_up_and_reads_each_task(server: str, host: str, sandbox: Any) -> None:
    """With the options of its form; as a process of its own."""
    words = ["--devices", SERIALS[0], "--devices", SERIALS[1], "--duration-seconds", "60", "--topics", "bread"]

    done = _process(server, "phones", "warm-up", "--block", host, *words, "--json")

    (said,) = _objects(done)
    assert (done.returncode, done.stderr) == (0, "")
    assert said["message"] == "2 of 2 warm-ups completed."
    assert [(task["serial"], task["state"]) for task in said["tasks"]] == [(s, "completed") for s in SERIALS]
    assert {task["script_args"]["topic"] for task in sandbox.phone_tasks} == {"bread"}


PHONE_COMMANDS = {
    "comment": ["--post-urls", "https://www.tiktok.com/@x/video/1", "--comments", "Lovely!"],
    "follow": ["--users", "mara.bakes"],
    "unfollow": ["--users", "mara.bakes", "--no-only-followed-here"],
    "post": ["--captions", "Fresh bread"],
}


@pytest.mark.parametrize(("name", "words"), PHONE_COMMANDS.items())
def test_each_script_is_a_command(name: str, words: list[str], host: str, sandbox: Any) -> None:
    """A dry run sends nothing; then it is done, on each phone."""
    words = ["phones", name, "--block", host, "--devices", "all", *words]

    dry = reelflow(*words, "--dry-run")
    done = reelflow(*words)

    assert f"Dry run: nothing was sent. Would send 2 {name}s." in dry.stdout
    assert all(serial in dry.stdout for serial in SERIALS)
    assert f"2 of 2 {name}s completed." in done.stdout
    assert done.returncode == 0
    assert len(sandbox.phone_tasks) == 2


def test_phone_tasks_are_listed_and_deleted(host: str, sandbox: Any) -> None:
    """Each with its number, what it does and who does it; nothing is changed without --no-dry-run."""
    reelflow("phones", "follow", "--block", host, "--devices", "all", "--users", "mara", "--watch-minutes", "0")
    words = ["phones", "tasks", "--block", host]

    (listed,) = _objects(reelflow(*words, "--json"))
    lines = reelflow(*words).stdout.splitlines()
    dry = reelflow(*words, "--action", "delete")
    done = reelflow(*words, "--action", "delete", "--no-dry-run", "--task-ids", str(listed["tasks"][0]["task_id"]))

    assert [(task["serial"], task["job"]) for task in listed["tasks"]] == [(serial, "follow") for serial in SERIALS]
    assert lines[0].split()[1:3] == ["follow", SERIALS[0]]
    assert "Dry run: nothing was changed. 2 tasks would be deleted." in dry.stdout
    assert "1 of 1 task deleted." in done.stdout
    assert len(sandbox.phone_tasks) == 1


def test_a_video_is_published_and_commented_on(taisly: TaislyAccount, host: str, sandbox: Any, clip: Clip) -> None:
    """Both forms in one command; the phones' options begin with --engage."""
    done = reelflow(
        "publish-and-engage", str(clip("small.mp4")), "--to", "TikTok @mara.bakes", "--block", "commands",
        "--host", host, "--engage-devices", SERIALS[0], "--engage-comments", "Lovely!", "--json",
    )  # fmt: skip

    (said,) = _objects(done)
    assert (done.returncode, said["ok"]) == (0, True)
    assert said["message"].endswith("1 of 1 comment completed.")
    assert [task["script_name"] for task in sandbox.phone_tasks] == ["comment"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["accounts"], "There is no block \"Taisly Account\" named 'none'"),
        (["phones"], "There is no block \"TikMatrix Host\" named 'none'"),
        (["phones", "follow", "--users", "mara"], "There is no block \"TikMatrix Host\" named 'none'"),
        (["cancel", "1"], "There is no block \"Taisly Account\" named 'none'"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_a_block_that_is_not_there_is_one_sentence(words: list[str], said: str) -> None:
    """Exit code 1, and which block to save."""
    done = reelflow(*words, "--block", "none")

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert said in done.stderr


def test_doctor_has_a_line_for_each_check_for_programs(taisly: TaislyAccount) -> None:
    """One object per line, with the same exit code."""
    open_ledger()

    done = reelflow("doctor", "--json")

    rows = _objects(done)
    assert {"check", "ok", "warning", "found"} == set(rows[0])
    assert done.returncode == (0 if all(row["ok"] for row in rows) else 1)
    assert "Taisly Account 'commands'" in {row["check"] for row in rows}
