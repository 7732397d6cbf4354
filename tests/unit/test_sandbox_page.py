"""What the sandbox's state and page show of both services together."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from reelflow.errors import NotAllowed, Refused
from reelflow.sandbox.catalog import ACCOUNTS, API_KEY
from reelflow.sandbox.records import Data

Clip = Callable[[str], Path]
TIKTOK, _, INSTAGRAM, _, X, _ = (account["id"] for account in ACCOUNTS)
ADA, BEN = "R58N01SANDBOX", "R58N02SANDBOX"


def _publish(sandbox: Any, client: Any, video: Path, accounts: list[str], caption: str = "Bread <b>& salt</b>") -> str:
    """Publish a video; the link of the first account's post."""
    client.create_post(video, accounts, caption)
    for _ in range(6):
        client.history_page(1)
    return str(sandbox.posts[0]["result"][0]["url"])


def _comment(sandbox: Any, link: str, text: str, serial: str, **more: Any) -> None:
    client = sandbox.tikmatrix()
    client.create_task("comment", {"target_post_urls": [link], "comment_content": text, **more}, serials=[serial])
    for _ in range(8):
        client.tasks()


def test_a_post_shows_its_size_and_the_comments_that_phones_have_made(sandbox: Any, clip: Clip) -> None:
    """By the link of the post, however it is written; not those that failed or are of another post."""
    link = _publish(sandbox, sandbox.taisly(), clip("small.mp4"), [TIKTOK, X])
    _comment(sandbox, f"{link}?lang=en", "Lovely!", ADA, username="ada.daily")
    _comment(sandbox, link, "one\ntwo", BEN)
    _comment(sandbox, "https://www.tiktok.com/@else/video/1", "not here", ADA)
    sandbox.fail_next(script_name="comment", reason="logged out")
    sandbox.world.auto_retry = 0
    _comment(sandbox, link, "failed", ADA)

    (post,) = sandbox.posts
    first, second = post["comments"]
    assert (first["username"], first["text"], first["serial"]) == ("ada.daily", "Lovely!", ADA)
    assert (second["text"], second["choices"], second["serial"]) == ("", 2, BEN)
    assert first["at"] <= sandbox.state["now"]
    assert (post["width"], post["height"], post["seconds"] > 3) == (270, 480, True)


def test_repost_rules_are_shown_with_their_last_changes(sandbox: Any) -> None:
    """Also what was refused, since it would have closed a circle."""
    client = sandbox.taisly()
    client.add_repost(TIKTOK, [X])
    client.add_repost(INSTAGRAM, [X])
    first, second = client.reposts()
    client.pause_repost(first.id, paused=True)
    client.pause_repost(first.id, paused=False)
    client.delete_repost(second.id)
    with pytest.raises(Refused):
        client.add_repost(X, [TIKTOK])

    state = sandbox.state

    assert [(r["from"], r["to"], r["isPaused"]) for r in state["repost_rules"]] == [(TIKTOK, [X], False)]
    whats = [(change["what"], change["from"]) for change in state["rule_changes"]]
    assert whats == [("added", TIKTOK), ("added", INSTAGRAM), ("paused", TIKTOK), ("resumed", TIKTOK),
                     ("removed", INSTAGRAM), ("refused", X)]  # fmt: skip


def test_a_post_that_a_rule_has_doubled_says_where(sandbox: Any, clip: Clip) -> None:
    """The copy went to an account that had the post already; the first one is as it was."""
    client = sandbox.taisly()
    client.add_repost(TIKTOK, [X, INSTAGRAM])
    _publish(sandbox, client, clip("small.mp4"), [TIKTOK, X])

    assert [(bool(post["repostOf"]), post["twice"]) for post in sandbox.posts] == [(False, []), (True, [X])]


def test_a_key_that_was_replaced_is_shown_masked_with_what_it_was_refused(sandbox: Any) -> None:
    """Requests with a key that never worked are not counted with it."""
    new = sandbox.taisly().generate_key()
    for key in (API_KEY, API_KEY, "taisly_unknown"):
        with pytest.raises(NotAllowed):
            sandbox.taisly(key).reposts()
    sandbox.taisly(new).revoke_key()

    keys = sandbox.state["keys"]

    assert (keys["active"], keys["refused_requests"]) == ([], 2)
    assert [(e["what"], e["key"], e["replaced"]) for e in keys["events"]] == [
        ("generated", f"taisly_…{new[-4:]}", ["taisly_…dbox"]),
        ("revoked", f"taisly_…{new[-4:]}", []),
    ]
    assert new not in httpx.get(f"{sandbox.url}/sandbox/state", trust_env=False).text


def test_an_older_state_can_be_read(tmp_path: Path) -> None:
    """What was kept before posts had a size, and rules and keys a past."""
    (tmp_path / "state.json").write_text('{"posts": [], "phone_tasks": [], "history": {}, "keys": ["k"]}')

    data = Data.read(tmp_path / "state.json")

    assert (data.keys, data.rule_changes, data.dead_key_requests) == (["k"], [], 0)
