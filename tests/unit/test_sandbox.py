"""The sandbox as its users meet it: over HTTP."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.waiting import until

from reelflow.errors import Busy, NotAllowed, NothingSent, OutcomeUnknown, Refused, UnreadableAnswer
from reelflow.sandbox.catalog import ACCOUNTS
from reelflow.sandbox.world import World
from reelflow.taisly.wire import HistoryItem, Status
from reelflow.tikmatrix.wire import TaskStatus

Clip = Callable[[str], Path]
TIKTOK, TIKTOK2, INSTAGRAM, *_ = [a["id"] for a in ACCOUNTS]
NOW = datetime.now(UTC)
ADA, BEN = "R58N01SANDBOX", "R58N02SANDBOX"


def _finished(item: HistoryItem) -> bool:
    """Whether every platform has an outcome."""
    return bool(item.result) and all(result.status is not Status.PENDING for result in item.result)


def test_five_platforms_are_connected_two_of_them_tiktok(sandbox: Any) -> None:
    """What a small studio has."""
    found = sandbox.taisly().platforms()

    assert sorted({a.platform for a in found}) == ["Facebook", "Instagram", "TikTok", "X", "YouTube"]
    assert sum(a.platform == "TikTok" for a in found) == 2


def test_a_post_is_kept_and_finishes_by_being_read(sandbox: Any, clip: Clip) -> None:
    """The file arrives byte for byte; one to three reads later each platform has an outcome."""
    client, video = sandbox.taisly(), clip("small.mp4")
    accepted = client.create_post(video, [TIKTOK, INSTAGRAM], "Bread ✨", preview_seconds=1.5)
    reads = [_finished(client.history_page(1)[0]) for _ in range(3)]

    (post,) = sandbox.posts

    assert accepted.history_id == post["historyId"]
    assert (post["caption"], post["platforms"], post["previewTime"]) == ("Bread ✨", [TIKTOK, INSTAGRAM], 1.5)
    assert httpx.get(sandbox.url + post["video"], trust_env=False).content == video.read_bytes()
    assert reads[-1] is True
    assert sandbox.requests("POST /api/private/post") == 1


def test_each_account_has_links_of_its_own(sandbox: Any, clip: Clip) -> None:
    """Two accounts of one platform are told apart by them."""
    client = sandbox.taisly()
    client.create_post(clip("small.mp4"), [TIKTOK, TIKTOK2], "x")
    for _ in range(3):  # by then each platform has an outcome
        item = client.history_page(1)[0]

    links = {one.platform_id: (one.link or "").rpartition("/video/")[0] for one in item.result}

    assert links == {
        TIKTOK: "https://www.tiktok.com/@mara.bakes",
        TIKTOK2: "https://www.tiktok.com/@mara.behind.the.oven",
    }


@pytest.mark.parametrize("name", ["landscape.mp4", "long.mp4", "list.mp4", "cut-tail.mp4", "sound.mp4"])
def test_what_is_no_video_for_a_reel_is_refused_and_not_kept(sandbox: Any, clip: Clip, name: str) -> None:
    """As the service would."""
    with pytest.raises(Refused):
        sandbox.taisly().create_post(clip(name), [TIKTOK], "x")

    assert sandbox.posts == []


def test_an_unknown_account_is_refused(sandbox: Any, clip: Clip) -> None:
    """An id that is not connected."""
    with pytest.raises(Refused, match="nobody"):
        sandbox.taisly().create_post(clip("small.mp4"), ["nobody"], "x")


def test_keys_really_change(sandbox: Any) -> None:
    """A new key kills the old one; a revoked one is dead; a reset brings the well-known one back."""
    fresh = sandbox.taisly().generate_key()
    with pytest.raises(NotAllowed):
        sandbox.taisly().platforms()
    sandbox.taisly(fresh).revoke_key()
    with pytest.raises(NotAllowed):
        sandbox.taisly(fresh).platforms()

    sandbox.reset()

    assert sandbox.taisly().platforms()


def test_the_free_plan_has_no_api(sandbox: Any) -> None:
    """403, with a hint at the plan."""
    with pytest.raises(NotAllowed, match="FREE"):
        sandbox.taisly("taisly_free").platforms()


@pytest.mark.parametrize(("plan", "quota"), [("STARTER", 50), ("INFLUENCER", 200)])
def test_the_hourly_quota_holds_and_renews(sandbox: Any, plan: str, quota: int) -> None:
    """The request after the last allowed one gets a 429 that says how long; an hour later there is room."""
    sandbox.world.plan = plan
    client = sandbox.taisly()
    for _ in range(quota):
        client.reposts()
    with pytest.raises(Busy) as caught:
        client.reposts()

    sandbox.advance_clock(3601)
    idle = sandbox.state["quota"][""]["last_hour"]

    assert idle == 0
    assert 3500 < (caught.value.retry_after or 0) <= 3600
    assert client.reposts() == []
    assert sandbox.requests("GET /api/private/reposts") == quota + 2
    assert sandbox.state["quota"][""] == {"per_hour": quota, "last_hour": 1, "most": quota, "refused": 1}


def test_a_scheduled_post_waits_for_its_time_and_can_be_cancelled(sandbox: Any, clip: Clip) -> None:
    """Reading does not hurry it; cancelling deletes it; when it is out it cannot be cancelled."""
    client, later = sandbox.taisly(), datetime.now(UTC) + timedelta(hours=1)
    first = client.create_post(clip("small.mp4"), [TIKTOK], "one", scheduled=later).history_id
    second = client.create_post(clip("small.mp4"), [TIKTOK], "two", scheduled=later).history_id
    for _ in range(5):
        assert not _finished(client.history_page(1)[0])
    client.cancel_scheduled(first)

    sandbox.advance_clock(3700)
    for _ in range(3):
        (left,) = client.history_page(1)

    assert (left.id, _finished(left)) == (second, True)
    with pytest.raises(Refused):
        client.cancel_scheduled(second)


def test_history_has_pages_of_ten_and_ranges_without_pages(sandbox: Any, clip: Clip) -> None:
    """Newest first by page; everything of a time by range."""
    client = sandbox.taisly()
    ids = [client.create_post(clip("small.mp4"), [TIKTOK], str(i)).history_id for i in range(12)]

    assert [p.id for p in client.history_page(1)] == ids[:1:-1]
    assert [p.id for p in client.history_page(2)] == ids[1::-1]
    assert client.history_page(3) == []
    assert len(client.history_between(NOW - timedelta(hours=1), datetime.now(UTC) + timedelta(hours=1))) == 12
    assert client.history_between(NOW - timedelta(hours=2), NOW - timedelta(hours=1)) == []


def test_repost_rules_apply_to_new_posts_and_refuse_circles(sandbox: Any, clip: Clip) -> None:
    """A rule makes a post of its own when the first is out; paused ones do not; A to B and B to A is a circle."""
    client = sandbox.taisly()
    client.add_repost(TIKTOK, [INSTAGRAM])
    with pytest.raises(Refused, match="circle"):
        client.add_repost(INSTAGRAM, [TIKTOK])
    client.create_post(clip("small.mp4"), [TIKTOK], "one")
    for _ in range(3):
        client.history_page(1)
    (rule,) = client.reposts()
    client.pause_repost(rule.id, paused=True)
    client.create_post(clip("small.mp4"), [TIKTOK], "two")
    for _ in range(6):
        client.history_page(1)

    posts = [(p["caption"], p["platforms"], bool(p["repostOf"])) for p in sandbox.posts]

    assert posts == [("one", [TIKTOK], False), ("one", [INSTAGRAM], True), ("two", [TIKTOK], False)]
    client.delete_repost(rule.id)
    assert client.reposts() == []


def test_a_platform_can_be_made_to_fail(sandbox: Any, clip: Clip) -> None:
    """With a reason, once, and the others are not touched."""
    sandbox.fail_next(platform="Instagram", reason="Session expired")
    client = sandbox.taisly()
    client.create_post(clip("small.mp4"), [TIKTOK, INSTAGRAM], "one")
    for _ in range(3):
        item = client.history_page(1)[0]

    assert [(r.status, r.reason) for r in item.result] == [("SUCCESS", None), ("FAILED", "Session expired")]


FAULTS = [
    ("drop_before", {}, NothingSent, False),
    ("drop_mid_body", {}, NothingSent, False),
    ("drop_after", {}, OutcomeUnknown, True),
    ("garbage_after", {}, UnreadableAnswer, True),
    ("status_before", {"status": 500}, OutcomeUnknown, False),
    ("status_before", {"status": 429, "seconds": 9}, Busy, False),
    ("status_after", {"status": 502}, OutcomeUnknown, True),
    ("status_after", {"status": 503}, OutcomeUnknown, True),
]


@pytest.mark.parametrize(("fault", "more", "error", "stored"), FAULTS, ids=lambda v: str(v))
def test_each_fault_does_to_a_post_what_it_says(
    sandbox: Any, clip: Clip, fault: str, more: dict, error: type[Exception], stored: bool
) -> None:
    """Before, in the middle or after: what the client sees, and what the service has."""
    sandbox.order_fault(fault, "POST", "/api/private/post", **more)
    # Bigger than the buffers between the two, so that a cut in the middle is one.
    video = clip("large.mp4")

    with pytest.raises(error):
        sandbox.taisly().create_post(video, [TIKTOK], "one")

    assert len(sandbox.posts) == stored
    sandbox.taisly().create_post(video, [TIKTOK], "two")
    assert len(sandbox.posts) == stored + 1


def test_faults_wait_count_and_can_be_taken_back(sandbox: Any) -> None:
    """`after`, `times`, a pattern for the path, and DELETE."""
    client = sandbox.taisly()
    sandbox.order_fault("status_before", path="/api/private/*", after=1, times=2)
    client.reposts()
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            client.reposts()
    client.reposts()
    sandbox.order_fault("status_before", times=None)

    sandbox.clear_faults()

    assert client.reposts() == []
    answer = httpx.post(f"{sandbox.url}/sandbox/faults", json={"fault": "earthquake"}, trust_env=False)
    assert answer.status_code == 400
    with pytest.raises(ValueError, match="drop_before"):
        sandbox.order_fault("earthquake")


def test_a_slow_answer_comes_late(sandbox: Any) -> None:
    """The work is done at once, its answer waits for as long as was ordered."""
    client = sandbox.taisly()
    sandbox.order_fault("slow", "POST", "*/repost/add", seconds=0.3)

    begun = time.monotonic()
    with ThreadPoolExecutor() as pool:
        adding = pool.submit(client.add_repost, ACCOUNTS[0]["id"], [ACCOUNTS[2]["id"]])
        until("the rule", lambda: sandbox.taisly().reposts())
        done_early = not adding.done()
        adding.result(10)

    assert done_early
    assert time.monotonic() - begun >= 0.3


def test_clearing_the_faults_sends_slow_answers(sandbox: Any) -> None:
    """A test decides when the answer comes, not a clock."""
    sandbox.order_fault("slow", seconds=300)

    with ThreadPoolExecutor() as pool:
        answer = pool.submit(sandbox.taisly().reposts)
        until("the request", lambda: sandbox.requests("GET /api/private/reposts"))
        assert not answer.done()
        sandbox.clear_faults()
        assert answer.result(10) == []


def test_phone_tasks_fan_out_over_targets_and_phones(sandbox: Any) -> None:
    """Three posts on two phones are six tasks; with all accounts of each phone, twelve."""
    client = sandbox.tikmatrix()
    config = {"target_post_urls": [f"https://www.tiktok.com/@a/video/{i}" for i in range(3)], "comment_content": "nice"}

    assert len(client.create_task("comment", config, serials=[ADA, BEN]).task_ids) == 6
    assert len(client.create_task("comment", config, serials=[ADA, BEN], multi_account=True).task_ids) == 12
    assert len(client.create_task("comment", config, usernames=["ada.daily"]).task_ids) == 3


def test_a_phone_does_one_task_at_a_time(sandbox: Any) -> None:
    """The others queue, and all of them end."""
    client = sandbox.tikmatrix()
    client.create_task("follow", {"target_users": ["a", "b", "c"]}, serials=[ADA])
    running = []
    for _ in range(20):
        statuses = [t.status for t in client.tasks().tasks]
        running.append(statuses.count(TaskStatus.RUNNING))

    assert max(running) == 1
    assert statuses == [TaskStatus.COMPLETED] * 3


def test_a_failing_task_is_retried_by_itself_until_its_limit(sandbox: Any) -> None:
    """3 comes and goes until the retries are used up, and then stays with its reason."""
    sandbox.fail_next(script_name="follow", reason="captcha")
    client = sandbox.tikmatrix()
    client.create_task("follow", {"target_user": "a"}, serials=[ADA])
    seen = [client.task(1) for _ in range(40)]

    assert next(t.retry_count for t in seen if t.status == TaskStatus.FAILED) == 0
    assert (seen[-1].status, seen[-1].retry_count, seen[-1].remark) == (TaskStatus.FAILED, 3, "captcha")
    client.retry_task(1)
    assert client.task(1).status in (TaskStatus.PENDING, TaskStatus.RUNNING)


def test_tasks_can_be_stopped_filtered_paged_and_deleted(sandbox: Any) -> None:
    """As the desktop's list does."""
    client = sandbox.tikmatrix()
    client.create_task("follow", {"target_users": list("abcde")}, serials=[ADA, BEN])
    client.stop_task(1)

    stopped = client.task(1)

    assert (stopped.status, stopped.remark) == (TaskStatus.FAILED, "stopped")
    page = client.tasks(serial=BEN, page=2, page_size=2)
    assert (page.total, len(page.tasks), {t.serial for t in page.tasks}) == (5, 2, {BEN})
    client.delete_task(1)
    client.delete_tasks([2, 3])
    assert client.stats().total == 7


@pytest.mark.parametrize(
    ("script", "config", "words"),
    [
        ("account_warmup", {"like_probable": 101}, "like_probable"),
        ("account_warmup", {"generate_by_chatgpt": True}, "api_key"),
        ("post", {"material_source": "localFolder"}, "material_path"),
        ("post", {"post_way": "useSound"}, "sound_name"),
        ("post", {"add_sound": "custom"}, "custom_sound_keyword"),
        ("comment", {"target_post_url": "https://example.com/1", "comment_content": "x"}, "not a post URL"),
        ("comment", {"target_post_url": "https://vm.tiktok.com/AbC/", "comment_content": "  "}, "comment_content"),
        ("unfollow", {"target_users": []}, "target_user"),
        ("follow", {"target_user": "a", "access_method": "teleport"}, "access_method"),
        ("profile", {}, "not yet supported"),
    ],
)
def test_each_script_checks_its_own_configuration(sandbox: Any, script: str, config: dict, words: str) -> None:
    """With the vendor's codes."""
    with pytest.raises(Refused, match=words):
        sandbox.tikmatrix().create_task(script, config, serials=[ADA])


def test_the_starter_licence_has_no_api(sandbox: Any) -> None:
    """40301 for everything but the licence itself."""
    sandbox.world.license_plan = "Starter"

    assert sandbox.tikmatrix().license().api_enabled is False
    with pytest.raises(NotAllowed):
        sandbox.tikmatrix().tasks()


def test_a_chatgpt_key_is_not_kept(sandbox: Any) -> None:
    """It is checked for, and nowhere to be seen again."""
    config = {"generate_by_chatgpt": True, "chatgpt_settings": {"api_key": "sk-secret", "model": "m"}}
    sandbox.tikmatrix().create_task("account_warmup", config, serials=[ADA])

    assert "sk-secret" not in httpx.get(f"{sandbox.url}/sandbox/state", trust_env=False).text
    assert "sk-secret" not in repr(sandbox.world.data)


def test_a_kept_sandbox_remembers_over_a_restart(tmp_path: Path, clip: Clip) -> None:
    """With --data: posts, tasks and the clock; the well-known key works at every start."""
    world = World(tmp_path, keep=True, seed=3)
    world.add_post(sha256="s", file="f.mp4", caption="c", preview=0, accounts=[TIKTOK], scheduled=None)
    world.add_task("follow", {"target_user": "a"}, ADA)
    world.data.keys, world.data.clock_offset = [], 300
    world.save()

    again = World(tmp_path, keep=True, seed=3)

    assert again.data.posts == world.data.posts
    assert again.data.phone_tasks == world.data.phone_tasks
    assert (again.data.clock_offset, again.data.keys) == (300, ["taisly_sandbox"])
    assert again.new_id() != world.data.posts[0].id


def test_a_kept_sandbox_of_before_there_were_clients_can_be_read(tmp_path: Path) -> None:
    """Its requests were those of the one client."""
    world = World(tmp_path, keep=True)
    world.save()
    state = json.loads((tmp_path / "state.json").read_text())
    state |= {"request_times": [world.now()], "most_requests": 1, "requests_over_quota": 0}
    (tmp_path / "state.json").write_text(json.dumps(state))

    data = World(tmp_path, keep=True).data

    assert len(data.request_times[""]) == 1
    assert (data.most_requests, data.requests_over_quota) == ({"": 1}, {"": 0})


def test_a_kept_client_has_its_accounts_without_being_named_again(tmp_path: Path) -> None:
    """Its key still works."""
    first = World(tmp_path, keep=True, clients=["bakery"])
    first.save()

    again = World(tmp_path, keep=True, clients=["cafe"])

    assert again.accounts["bakery"] == first.accounts["bakery"]
    assert set(again.accounts) == {"", "bakery", "cafe"}


def test_the_page_and_state_do_not_count_as_reads(sandbox: Any, clip: Clip) -> None:
    """Looking at the sandbox changes nothing in it."""
    sandbox.taisly().create_post(clip("small.mp4"), [TIKTOK], "one")
    for _ in range(5):
        assert sandbox.posts[0]["result"][0]["status"] == "PENDING"

    assert "reelflow" in httpx.get(sandbox.url, trust_env=False).text


def test_the_command_says_where_it_is_and_takes_a_free_port(sandbox: Any) -> None:
    """`reelflow sandbox --port TAKEN`: another port, the key to use, and a clean end on SIGTERM."""
    taken = httpx.URL(sandbox.url).port
    process = subprocess.Popen(
        [sys.executable, "-m", "deployments", "sandbox", "--port", str(taken)], stdout=subprocess.PIPE, text=True
    )
    killer = threading.Timer(20, process.kill)
    killer.start()
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(4)]
    url = lines[0].split()[-1]

    assert httpx.URL(url).port != taken
    assert "taisly_sandbox" in lines[1]
    assert httpx.get(url + "/sandbox/state", trust_env=False).json()["posts"] == []
    process.terminate()
    assert process.wait(10) == 0
    killer.cancel()
    process.stdout.close()


@pytest.mark.parametrize("fault", ["huge_after", "bomb_after"])
def test_an_answer_without_end_can_be_ordered(sandbox: Any, fault: str) -> None:
    """The request takes effect, and the client gives up reading at its limit."""
    client = sandbox.taisly()
    accounts = [account.id for account in client.platforms()][:2]
    sandbox.order_fault(fault, "POST", "*/repost/add")

    with pytest.raises(OutcomeUnknown):
        client.add_repost(accounts[0], accounts[1:])

    assert len(client.reposts()) == 1


def test_an_answer_that_drips_can_be_ordered(sandbox: Any) -> None:
    """For as long as `seconds` says; it is blank in the end."""
    sandbox.order_fault("drip_after", "GET", "*/platforms", seconds=0.2)

    with pytest.raises(OutcomeUnknown):
        sandbox.taisly().platforms()


def test_the_date_of_an_answer_is_the_sandboxs(sandbox: Any) -> None:
    """By it a client knows how far the clocks are apart."""
    sandbox.set_clock(1800)
    client = sandbox.taisly()

    client.platforms()

    assert client.clock_ahead == pytest.approx(1800, abs=5)


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({"caption": "shouted"}, "'caption' must be one of"),
        ({"without": ["id"]}, "'without' must be a list of"),
        ({"stale_seconds": "long"}, "'stale_seconds' must be a number"),
        ({"colour": 1}, "Unknown field: colour"),
    ],
)
def test_a_history_style_that_makes_no_sense_is_not_ordered(sandbox: Any, order: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        sandbox._ask("POST", "/sandbox/history", order)
